"""The rooms that make data sets, judge, serve and release run any task: they name none of relevance's fields."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[3] / "src" / "recflow"
FIELDS = {"query", "queries", "title", "titles", "description", "descriptions", "ndcg", "cosine", "bm"}
# Simulated shoppers search: they are relevance's.
OF_RELEVANCE = {"replay.py", "click_model.py"}
ENGINES = [
    SOURCE / "protocols.py",
    *(SOURCE / "domain" / name for name in ("answers.py", "golden.py", "requests.py", "signatures.py")),
    *(SOURCE / "clients").glob("triton*.py"),
    *(
        SOURCE / name
        for name in ("training/own.py", "training/recorded.py", "compression/own.py", "compression/ladder.py")
    ),
    *(SOURCE / "data" / name for name in ("build.py", "leaks.py", "samples.py", "split.py")),
    *(
        path
        for room in ("evaluation", "gateway", "monitoring", "packaging", "rollout")
        for path in (SOURCE / room).glob("*.py")
    ),
    *(SOURCE / "tasks").glob("*.py"),
]
# Words of OpenAPI, pydantic and matplotlib, and the part of a card that a person reads first.
OTHERS = {("plots.py", "title"), ("app.py", "title"), ("app.py", "description")} | {
    (name, "description") for name in ("messages.py", "requests.py")
}
CARDS = {(name, "title") for name in ("protocols.py", "cards.py", "watch.py", "silence.py")} | {("cards.py", "titles")}


def names(tree: ast.AST) -> Iterator[str]:
    """Identifiers, arguments and keywords, and texts that could be a key."""
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name) | ast.FunctionDef(name=name):
                yield name
            case ast.keyword(arg=str(name)) | ast.ClassDef(name=name) | ast.alias(name=name):
                yield name
            case ast.Constant(value=str(text)) if re.fullmatch(r"[A-Za-z_]+", text):
                yield text


def words(name: str) -> set[str]:
    return {word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)}


@pytest.mark.parametrize("path", ENGINES, ids=lambda path: "/".join(path.parts[-2:]))
def test_no_engine_names_a_field_of_relevance(path):
    if path.name in OF_RELEVANCE:
        return
    found = {(path.name, word) for name in names(ast.parse(path.read_text())) for word in words(name) & FIELDS}
    assert found <= OTHERS | CARDS


def test_a_name_that_holds_a_field_is_found():
    source = 'def ask_query(row): return row["title"], max_query_characters, Titles, "a title of a card"'
    found = {word for name in names(ast.parse(source)) for word in words(name) & FIELDS}
    assert found == {"query", "title", "titles"}


def test_rooms_import_the_contract_of_tasks_and_no_task():
    for path in ENGINES:
        if path.parent.name != "tasks":
            assert not re.search(r"recflow\.tasks\.(?!base\b)", path.read_text()), path
