import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import SimpleNamespace

import pytest
import typer

from fakes.toy_task import installed
from recflow.artifacts.manifests import Interval, Manifest
from recflow.artifacts.refs import Ref, RefKind
from recflow.cli import main as command_line
from recflow.cli.main import run
from recflow.clients.local_store import LocalStore
from recflow.data.heads import HeadHistory
from recflow.errors import BadConfiguration, BadData, StoreFull, from_record
from recflow.stages import StageOutput, StageSpec
from recflow.wiring import STAGES, Stage

HEAVY = ["torch", "great_expectations", "mlflow", "transformers", "datasets", "tritonclient", "boto3", "airflow"]


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("RECFLOW_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("RECFLOW_RECIPES", str(tmp_path))
    (tmp_path / "shop.yaml").write_text("name: shop\nowner: ada\nschedule: {timezone: Asia/Shanghai}\n")
    (tmp_path / "inputs.json").write_text("{}")
    return tmp_path


@pytest.fixture
def failing(monkeypatch):
    """A command `demo` that raises what it is given."""

    def install(error: BaseException) -> None:
        app = typer.Typer()

        @app.command()
        def demo(word: str = "") -> None:
            raise error

        module = SimpleNamespace(app=app, __spec__=ModuleSpec("failing_room", None))
        monkeypatch.setitem(sys.modules, "failing_room", module)
        monkeypatch.setitem(command_line._ROOMS, "demo", command_line._Room("failing_room", "Fails."))

    return install


@pytest.mark.parametrize("arguments", [["--help"], ["stage", "--help"], ["recipe", "--help"]])
def test_help_imports_nothing_heavy(arguments):
    code = (
        "import sys; from recflow.cli.main import run; code = run(sys.argv[2:]); "
        "print([name for name in sys.argv[1].split() if name in sys.modules]); sys.exit(code)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code, " ".join(HEAVY), *arguments], capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout.splitlines()[-1]) == (0, "[]"), ended.stderr


def test_the_help_names_every_room_that_is_there(capsys):
    assert run(["--help"]) == 0
    shown = capsys.readouterr().out
    assert [name for name in ("stage", "recipe", "triton") if name not in shown] == []


def test_an_unknown_command_is_a_usage_error(capsys):
    assert run(["frobnicate"]) == 2
    assert "No such command" in capsys.readouterr().err


@pytest.mark.parametrize(("error", "code"), [(BadData("the day is empty"), 65), (StoreFull("no space"), 75)])
def test_a_failure_ends_with_its_message_the_line_that_repeats_it_and_its_code(failing, capsys, error, code):
    failing(error)
    assert run(["demo", "--word", "two words"]) == code
    assert capsys.readouterr().err.splitlines() == [error.message, "Run it again: recflow demo --word 'two words'"]


def test_a_bug_keeps_its_traceback_and_ends_with_70(failing, capsys):
    failing(ZeroDivisionError("oops"))
    assert run(["demo"]) == 70
    said = capsys.readouterr().err
    assert "Traceback" in said
    assert "ZeroDivisionError: oops" in said
    assert said.splitlines()[-1] == "Run it again: recflow demo"


def test_notes_of_an_error_are_shown(failing, capsys):
    error = BadData("the day is empty")
    error.add_note("run it by hand: recflow stage …")
    failing(error)
    run(["demo"])
    assert capsys.readouterr().err.splitlines()[1] == "run it by hand: recflow stage …"


class TestStage:
    def run(self, home, *extra, name="package", recipe="shop", interval="2011-01-04", inputs="inputs.json"):
        arguments = ["stage", name, "--recipe", recipe, "--interval", interval, "--inputs", str(home / inputs)]
        return run([*arguments, "--out", str(home / "out" / "ref.json"), *extra])

    @pytest.fixture
    def calls(self, monkeypatch):
        """A stage called `bake` that keeps the contexts it ran in."""
        seen = []

        def bake(context):
            seen.append(context)
            (context.output / "cake").write_text("a cake")
            return StageOutput()

        monkeypatch.setitem(sys.modules, "bakery", SimpleNamespace(run=bake))
        spec = StageSpec("bake", 1, RefKind.DATASET, sections=(), inputs=())
        monkeypatch.setitem(STAGES, "bake", Stage(spec, "bakery"))
        return seen

    def test_the_reference_is_written_and_shown(self, home, calls, capsys):
        assert self.run(home, name="bake") == 0
        ref = Ref.model_validate_json((home / "out" / "ref.json").read_text())
        assert ref.kind is RefKind.DATASET
        assert capsys.readouterr().out == f"{ref.uri}\n"

    def test_the_day_is_one_of_the_recipes_time_zone(self, home, calls):
        self.run(home, name="bake")
        assert calls[0].interval.start.isoformat() == "2011-01-03T16:00:00+00:00"

    def test_a_second_run_takes_the_first_result_unless_it_is_to_be_fresh(self, home, calls):
        for extra in ((), (), ("--fresh", "the oven was cold")):
            assert self.run(home, *extra, name="bake") == 0
        assert len(calls) == 2

    def test_a_reason_of_a_hundred_thousand_characters_computes_nothing(self, home, calls, capsys):
        assert self.run(home, "--fresh", "x" * 100_000, name="bake") == BadConfiguration.exit_code
        assert calls == []
        told = capsys.readouterr().err
        assert "at most 1,000 characters" in told
        assert len(told) < 1000

    def test_a_partition_that_was_made_by_hand_is_the_current_one_of_its_day(self, home, monkeypatch):
        monkeypatch.setitem(sys.modules, "bakery", SimpleNamespace(run=lambda _: StageOutput()))
        spec = StageSpec("validate_partition", 1, RefKind.PARTITION, sections=(), inputs=())
        monkeypatch.setitem(STAGES, "validate_partition", Stage(spec, "bakery"))
        assert self.run(home, name="validate_partition") == 0
        made = Ref.model_validate_json((home / "out" / "ref.json").read_text())
        head = HeadHistory(LocalStore(home / "home" / "store"), "shop").current("2011-01-04")
        assert head.partition.digest == made.digest

    def test_a_rank_above_0_publishes_nothing(self, home, calls, monkeypatch):
        monkeypatch.setenv("RANK", "1")
        assert self.run(home, name="bake") == 0
        assert len(calls) == 1
        assert not (home / "out").exists()

    def test_a_failed_stage_leaves_its_error_beside_the_result_for_the_caller_of_a_job(self, home, monkeypatch):
        def burn(context):
            raise StoreFull("no space for the cake", expected="room", seen="none")

        monkeypatch.setitem(sys.modules, "bakery", SimpleNamespace(run=burn))
        monkeypatch.setitem(STAGES, "bake", Stage(StageSpec("bake", 1, RefKind.DATASET, (), ()), "bakery"))
        assert self.run(home, name="bake") == 75
        told = from_record(json.loads((home / "out" / "error.json").read_text()))
        assert isinstance(told, StoreFull)
        assert told.what == "no space for the cake"

    @pytest.mark.parametrize(
        "wrong",
        [
            {"name": "packag"},
            {"recipe": "shopp"},
            {"interval": "4 January"},
            {"inputs": "none.json"},
            {"inputs": "shop.yaml"},
        ],
    )
    def test_a_wrong_argument_is_a_wrong_configuration(self, home, capsys, wrong):
        assert self.run(home, **wrong) == 78
        assert "Runbook: docs/runbooks/bad-configuration.md" in capsys.readouterr().err

    def test_a_stage_without_its_inputs_says_which(self, home, capsys):
        assert self.run(home) == 1
        assert "missing ['model']" in capsys.readouterr().err


def dataset_manifest(**numbers):
    start = datetime(2011, 1, 4, tzinfo=UTC)
    return Manifest(
        kind=RefKind.DATASET,
        recipe="shop",
        stage="build_dataset",
        stage_version=1,
        key="key",
        attempt="a",
        interval=Interval(label="2011-01-04", start=start, end=start + timedelta(days=1)),
        inputs={},
        files=(),
        numbers=numbers,
        reusable=True,
        created_at=start,
    ).model_dump_json()


class TestRecipe:
    def test_a_right_recipe_is_said_to_be_right(self, home, capsys):
        assert run(["recipe", "check", str(home / "shop.yaml")]) == 0
        assert "recipe shop is right" in capsys.readouterr().out

    def test_the_margin_that_the_data_can_tell_is_said(self, home, capsys):
        folder = home / "home" / "store" / "shop" / "datasets" / "key"
        assert run(["recipe", "check", str(home / "shop.yaml")]) == 0
        assert "no data set yet" in capsys.readouterr().out
        folder.mkdir(parents=True)
        (folder / "manifest.json").write_text(dataset_manifest(test_queries=40))
        assert run(["recipe", "check", str(home / "shop.yaml")]) == 0
        assert "40 held-out queries can tell a margin of 0.028" in capsys.readouterr().out

    def test_a_recipe_of_a_shops_own_task_is_checked_in_its_own_words(self, home, capsys, monkeypatch):
        monkeypatch.syspath_prepend(installed(home / "site"))
        recipe, folder = home / "toy_line.yaml", home / "home" / "store" / "toy_line" / "datasets" / "key"
        recipe.write_text("name: toy_line\nowner: ada\ntask: toy\ntraining: {steps: 7}\n")
        folder.mkdir(parents=True)
        (folder / "manifest.json").write_text(dataset_manifest(test_rows=40))
        assert run(["recipe", "check", str(recipe)]) == 0
        told = capsys.readouterr().out
        assert "recipe toy_line is right" in told
        assert "40 held-out rows can tell a margin of 0.028: log_loss max_drop 0.05 is wide enough" in told

    @pytest.mark.parametrize(
        ("option", "why"),
        [
            ("processes: 2", "training.processes: a task's own trainer trains in one process"),
            ("checkpoint_every_steps: 9", "training.checkpoint_every_steps: a task's own trainer keeps no state"),
        ],
    )
    def test_what_a_tasks_own_trainer_does_not_heed_is_found_with_its_line(
        self, home, capsys, monkeypatch, option, why
    ):
        monkeypatch.syspath_prepend(installed(home / "site", place="fakes.toy_task:KEEPING_STATE"))
        recipe = home / "toy_line.yaml"
        head = "name: toy_line\nowner: ada\ntask: toy\ntraining:\n  "
        recipe.write_text(f"{head}{option}\n")
        assert run(["recipe", "check", str(recipe)]) == 78
        assert f"{recipe}: line 5: {why}" in capsys.readouterr().out
        recipe.write_text(f"{head}steps: 7\n  processes: 1\n")
        assert run(["recipe", "check", str(recipe)]) == 0

    def test_the_plan_of_an_experiment_is_printed_before_anything_starts(self, home, capsys):
        recipe = home / "shop.yaml"
        recipe.write_text("name: shop\nowner: ada\nonline_gate: {guardrails: [{metric: purchase_rate}]}\n")
        assert run(["plan", str(recipe)]) == 0
        [length, guardrail, chances] = capsys.readouterr().out.splitlines()
        assert length.startswith("no earlier traffic: planned for 5,000 users")
        assert guardrail.startswith("purchase_rate: chosen by both arms together at 640 users")
        assert chances.startswith("who passes is not known")
        assert run(["plan", str(recipe), "--change"]) == 0
        assert capsys.readouterr().out.splitlines()[:2] == ["as a change, which must be better:", length]
        assert run(["recipe", "check", str(recipe)]) == 0
        assert f"{recipe}: {length}\n{recipe}: {chances}\n" in capsys.readouterr().out

    def test_what_differs_between_two_recipes_is_told_with_what_is_computed_again(self, home, capsys):
        before, after = home / "shop.yaml", home / "changed" / "shop.yaml"
        after.parent.mkdir()
        before.write_text("name: shop\nowner: ada\n")
        after.write_text("name: shop  # a remark\nowner: eve\ncompression: {min_agreement: 0.98, golden_requests: 5}\n")
        assert run(["recipe", "diff", str(before), str(before)]) == 0
        same = ["a refresh: it must be no worse", "computed again: nothing"]
        assert capsys.readouterr().out.splitlines() == same
        assert run(["recipe", "diff", str(before), str(after)]) == 0
        assert capsys.readouterr().out.splitlines() == [
            "compression.golden_requests: 20 → 5",
            "compression.min_agreement: 0.99 → 0.98",
            "owner: ada → eve  (shapes no answer)",
            "a change: it must be better than what serves",
            "computed again: compress, package, offline_gate",
        ]

    @pytest.mark.parametrize("code", [None, "import numpy\n\ndef process(scores):\n    return scores\n"])
    def test_a_post_processing_that_cannot_be_served_is_found_before_the_night(self, home, capsys, code):
        if code:
            (home / "post.py").write_text(code)
        (home / "shop.yaml").write_text("name: shop\nowner: ada\npackaging: {post_processing: post.py}\n")
        assert run(["recipe", "check", str(home / "shop.yaml")]) == 78
        assert "post.py" in capsys.readouterr().err

    @pytest.mark.parametrize("written", [300, 4096])
    def test_texts_longer_than_the_base_model_reads_are_refused_with_their_line(self, home, capsys, written):
        (home / "base").mkdir()
        (home / "base" / "config.json").write_text('{"max_position_embeddings": 256}')
        base = f"training:\n  base_model: {home / 'base'}\n  max_tokens: "
        (home / "shop.yaml").write_text(f"name: shop\nowner: ada\n{base}{written}\n")
        assert run(["recipe", "check", str(home / "shop.yaml")]) == 78
        assert "line 5: training.max_tokens" in capsys.readouterr().out
        (home / "shop.yaml").write_text(f"name: shop\nowner: ada\n{base}256\n")
        assert run(["recipe", "check", str(home / "shop.yaml")]) == 0

    def test_a_base_model_that_is_not_there_is_refused_with_its_line(self, home, capsys):
        (home / "shop.yaml").write_text("name: shop\nowner: ada\ntraining:\n  base_model: no-such-model\n")
        assert run(["recipe", "check", str(home / "shop.yaml")]) == 78
        assert "line 4: training.base_model: base model no-such-model was not found" in capsys.readouterr().out

    def test_a_recipe_that_is_not_called_as_its_file_is_refused(self, home, capsys):
        (home / "shop.yaml").write_text("name: shopp\nowner: ada\n")
        assert run(["recipe", "check", str(home / "shop.yaml")]) == 78
        assert "has another name" in capsys.readouterr().err

    def test_every_mistake_stands_on_a_line_of_its_own(self, home, capsys):
        path = Path(home / "wrong.yaml")
        path.write_text("name: shop\nownr: ada\ntraining: {epoch: 1}\n")
        assert run(["recipe", "check", str(path)]) == 78
        said = capsys.readouterr().out.splitlines()
        assert [line.removeprefix(f"{path}: ") for line in said] == [
            "line 1: owner: Field required",
            "line 2: ownr: unknown key, did you mean owner?",
            "line 3: training.epoch: unknown key, did you mean epochs?",
        ]
