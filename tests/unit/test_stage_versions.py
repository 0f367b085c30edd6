"""Ties every stage's version to its source: equal inputs must not meet a result of other code.

    python tests/unit/test_stage_versions.py     record the source as it is now

A stage's source is every recflow module it imports, directly or not, and every file of its own room, since some are
copied into artifacts instead of imported. Comments, docstrings and layout do not count. Neither do the layers that only
describe things: errors, protocols, artifacts, the runner, and the recipe, whose values are part of the key already.
"""

import ast
import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from recflow.artifacts.digests import digest_bytes
from recflow.config.tasks import BUILT_IN
from recflow.wiring import STAGES, Stage

RECORD = Path(__file__).with_name("stage_versions.json")
SOURCE = Path(str(importlib.util.find_spec("recflow").origin)).parent
DESCRIBES = (
    "recflow.errors",
    "recflow.protocols",
    "recflow.artifacts",
    "recflow.config",
    "recflow.stages",
    "recflow.storage",
)
ACCEPT = ".venv/bin/python tests/unit/test_stage_versions.py"


def path_of(module: str) -> Path | None:
    base = SOURCE.joinpath(*module.split(".")[1:])
    return next((path for path in (base.with_suffix(".py"), base / "__init__.py") if path.is_file()), None)


def imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def room(module: str) -> Iterator[str]:
    package = module.rpartition(".")[0]
    folder = SOURCE.joinpath(*package.split(".")[1:])
    for path in folder.rglob("*.py"):
        yield ".".join(("recflow", *path.relative_to(SOURCE).with_suffix("").parts))


def closure(stage: Stage) -> dict[str, str]:
    """Each module of a stage with the digest of what it does; the built-in tasks' too where it is handed one."""
    found: dict[str, str] = {}
    tasks = [point.module for point in BUILT_IN.values()] if stage.spec.by_task else []
    waiting = [stage.module, *room(stage.module), *tasks]
    while waiting:
        module = waiting.pop()
        path = path_of(module)
        if module in found or path is None or module.endswith(".spec") or module.startswith(DESCRIBES):
            continue
        tree = ast.parse(path.read_text())
        found[module] = digest_bytes(ast.dump(without_docstrings(tree)).encode())[:16]
        waiting.extend(name for name in imports(tree) if name.startswith("recflow."))
    return dict(sorted(found.items()))


def without_docstrings(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and isinstance(body[0], ast.Expr):
            value = body[0].value
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                del body[0]
    return tree


def current() -> dict[str, dict]:
    return {name: {"version": stage.spec.version, "modules": closure(stage)} for name, stage in sorted(STAGES.items())}


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_whose_source_changed_has_a_new_version(name):
    then, now = json.loads(RECORD.read_text()).get(name, {"version": 0, "modules": {}}), current()[name]
    names = then["modules"].keys() | now["modules"].keys()
    changed = sorted(module for module in names if then["modules"].get(module) != now["modules"].get(module))
    assert not changed, (
        f"the source of stage {name} changed since its version {then['version']} was recorded: {', '.join(changed)}. "
        f"If results for equal inputs may differ, raise its version in the room's spec.py. Then run: {ACCEPT}"
    )
    assert then["version"] == now["version"], f"record the new version of stage {name}: {ACCEPT}"


def test_the_source_of_a_stage_reaches_into_shared_rules():
    assert "recflow.domain.text" in closure(STAGES["validate_partition"])


def test_the_source_of_a_stage_reaches_into_the_task_that_it_is_handed():
    assert "recflow.tasks.relevance.tensors" in closure(STAGES["package"])
    assert "recflow.tasks.relevance.tensors" not in closure(STAGES["validate_partition"])


def test_comments_docstrings_and_layout_are_no_change():
    one = ast.parse('"""Doc."""\ndef f(a):\n    """Doc."""\n    return a + 1\n')
    two = ast.parse("# other\ndef f( a ):\n\n    return (a + 1)  # why\n")
    assert ast.dump(without_docstrings(one)) == ast.dump(without_docstrings(two))


if __name__ == "__main__":
    RECORD.write_text(json.dumps(current(), indent=1) + "\n")
    print(f"recorded {', '.join(STAGES)} in {RECORD}")
