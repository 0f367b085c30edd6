"""Rooms and tasks say what they compute by plain relational verbs and the expressions of `recflow.engine` alone.

What else ibis offers means something else on another engine, here or there, or may one day.
"""

import ast
import inspect
from pathlib import Path

import pytest
from ibis.expr import types

import recflow

SOURCE = Path(recflow.__file__).parent
FILES = {
    f"{path.parent.name}/{path.name}": path
    for room in ("data", "tasks/relevance")
    for path in sorted((SOURCE / room).glob("*.py"))
    if "recflow.engine.expressions" in path.read_text()
}
PLAIN = set(
    "aggregate alias anti_join asc columns contains count desc drop fill_null filter group_by identical_to inner_join"
    " isin isnull left_join length limit max mean min mutate name notnull nullif nunique order_by schema select"
    " semi_join sum union var".split()
)
# What Python's own values have by the same name: no table or column is meant where rooms say it.
PYTHONS = set("array endswith get hexdigest items join keys replace rstrip sqrt values".split())
OFFERED = {
    name
    for _, kind in inspect.getmembers(types, inspect.isclass)
    if issubclass(kind, types.Expr)
    for name in dir(kind)
    if not name.startswith("_")
}


def reached(source):
    """The methods that a source calls of those that ibis offers beside the plain verbs."""
    calls = [node.func for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    called = {function.attr for function in calls if isinstance(function, ast.Attribute)}
    return sorted(called & (OFFERED - PLAIN - PYTHONS))


@pytest.mark.parametrize("file", FILES)
def test_a_room_reaches_for_no_other_expression(file):
    assert reached(FILES[file].read_text()) == []


def test_every_room_that_computes_is_looked_at():
    rooms = {f"data/{name}.py" for name in ("checks", "clean", "judge", "leaks", "offending", "samples")}
    tasks = {f"relevance/{name}.py" for name in ("examples", "labels", "negatives", "titles")}
    assert rooms | tasks <= {*FILES}
    assert reached((SOURCE / "data" / "build.py").read_text()) == []


@pytest.mark.parametrize(
    "source",
    [
        "t.x.cast('int64')",
        "t.s.re_search('a')",
        "t.distinct(on='a')",
        "t.x.quantile(0.5)",
        "t.s.split('.')",
        "t.sql('')",
    ],
)
def test_the_lint_sees_what_it_is_there_for(source):
    assert reached(source) != []
