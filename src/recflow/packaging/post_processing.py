"""Refuses a post-processing that the server could not run, before anything is packaged."""

import ast
import sys
from collections.abc import Iterator

from recflow.config.sections.serving import PackagingSection
from recflow.errors import BadConfiguration

_EXPECTED = "a stdlib-only Python file with `def process(scores)` that returns as many scores"


def refuse_unservable(section: PackagingSection, *, ordered: bool) -> None:
    """BadConfiguration when the recipe names a post-processing that cannot be served, or that could not be checked."""
    name = section.post_processing
    if not name:
        return
    if not ordered:
        raise BadConfiguration(
            f"post-processing {name} cannot be packaged",
            expected="a task whose answers are an order, which a check can still tell when the scale has changed",
            seen="one whose answers are not",
        )
    try:
        tree = ast.parse(section.post_processing_code)
    except (SyntaxError, ValueError) as error:
        raise _refusal(name, str(error)) from error
    if not any(isinstance(node, ast.FunctionDef) and node.name == "process" for node in tree.body):
        raise _refusal(name, "no function called process")
    if foreign := sorted(set(_imported(tree)) - sys.stdlib_module_names):
        raise _refusal(name, f"it imports {', '.join(foreign)}")


def _imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield "." * node.level + (node.module or "").split(".")[0]


def _refusal(name: str, seen: str) -> BadConfiguration:
    return BadConfiguration(f"post-processing {name} cannot be packaged", expected=_EXPECTED, seen=seen)
