"""docs/howto/new-task.md names members of the contract that exist, and every one that a task has to write."""

import dataclasses
import re
from pathlib import Path

import pytest

from recflow.artifacts.events import Comparison, Exposure
from recflow.config.recipe import Recipe
from recflow.config.sections.data import LabelledSection
from recflow.config.sections.gate import JudgedSection
from recflow.config.sections.training import TrainedSection, TrainingSection
from recflow.config.tasks import BUILT_IN
from recflow.domain.requests import Refusal, Request
from recflow.domain.signatures import Signature, Tensor
from recflow.tasks.base import Examples, Floors, Metric, Metrics, Serving, Task, Trainer

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "docs" / "howto" / "new-task.md").read_text(encoding="utf-8")
PROSE = re.sub(r"```.*?```", "", TEXT, flags=re.DOTALL)
CONTRACT = (Examples, Floors, Metric, Metrics, Serving, Task, Trainer)
BESIDE = (Comparison, Exposure, Recipe, Refusal, Request, Signature, Tensor,
          LabelledSection, JudgedSection, TrainedSection, TrainingSection)  # fmt: skip
TABLES = {
    "From events to examples": Examples,
    "How candidates are judged": Metrics,
    "From a request to an answer": Serving,
}
# Columns of rows, numbers of decisions, adapters and fields of messages.
OTHERS = {
    "at",
    "day",
    "kind",
    "version",
    "log_loss_candidate",
    "log_loss_change",
    "item_id",
    "gateway_log",
}
# The functions of the server's side, which are read as text.
IN_THE_SERVER = {"score_many"}


def members(kind):
    fields = {field.name for field in dataclasses.fields(kind)} if dataclasses.is_dataclass(kind) else set()
    return {*dir(kind), *getattr(kind, "model_fields", ()), *fields, *getattr(kind, "__annotations__", ())}


def named(text):
    """What stands in backticks and could be a name: whole, or the parts before its brackets."""
    return [word for quoted in re.findall(r"`([^`]+)`", text) if (word := quoted.split("(")[0])]


@pytest.mark.parametrize("section", TABLES)
def test_the_tables_name_members_of_their_class(section):
    [text] = re.findall(rf"## {section}\n(.*?)(?=\n## |\Z)", TEXT, flags=re.DOTALL)
    rows = re.findall(r"^\| (`[^|]+) \|", text, flags=re.MULTILINE)
    assert rows
    assert {name for row in rows for name in named(row)} <= members(TABLES[section])


def test_the_prose_names_members_and_classes_that_exist():
    classes = {kind.__name__ for kind in CONTRACT}
    known = set.union(*map(members, (*CONTRACT, *BESIDE)), classes, BUILT_IN, OTHERS, IN_THE_SERVER)
    names = {name for name in named(PROSE) if re.fullmatch(r"[a-z]+(_[a-z]+)*", name)}
    assert names - known == set()


def test_a_member_that_is_named_with_its_class_is_one_of_its():
    for kind, member in re.findall(r"`([A-Z]\w+)\.(\w+)", PROSE):
        [found] = [each for each in CONTRACT if each.__name__ == kind]
        assert member in members(found)


def test_every_member_that_a_task_has_to_write_is_named():
    needed = {name for kind in CONTRACT for name in getattr(kind, "__abstractmethods__", ())}
    assert needed <= {part for name in named(PROSE) for part in name.split(".")}


def test_the_toy_is_made_as_the_text_says():
    source = (ROOT / "tests" / "fakes" / "toy_task.py").read_text(encoding="utf-8")
    [made] = re.findall(r"`(TASK = Task\(.*?\))`", TEXT)
    assert made in source
    assert all(
        line.strip() in source for line in re.search(r"signature = Signature\(.*?\n\)", TEXT, re.DOTALL)[0].split("\n")
    )
