"""Reads a recipe's post-processing and refuses what the server could not run, before anything is packaged."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

from recflow.artifacts.digests import digest_bytes
from recflow.config.sections.serving import PackagingSection
from recflow.errors import BadConfiguration

_EXPECTED = "a stdlib-only Python file with `def process(scores)` that returns as many scores"


def read_post_processing(section: PackagingSection) -> bytes:
    """The file's bytes, empty when the recipe names none; BadConfiguration when it is missing or cannot be served."""
    if not section.post_processing:
        return b""
    path = Path(section.post_processing)
    try:
        source = path.read_bytes()
        tree = ast.parse(source)
    except (OSError, SyntaxError, ValueError) as error:
        raise _refusal(path, str(error)) from error
    digest = section.post_processing_sha256
    if digest and digest_bytes(source) != digest:
        raise _refusal(path, "it changed after the recipe was read: start the stage again")
    if not any(isinstance(node, ast.FunctionDef) and node.name == "process" for node in tree.body):
        raise _refusal(path, "no function called process")
    if foreign := sorted(set(_imported(tree)) - sys.stdlib_module_names):
        raise _refusal(path, f"it imports {', '.join(foreign)}")
    return source


def _imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield "." * node.level + (node.module or "").split(".")[0]


def _refusal(path: Path, seen: str) -> BadConfiguration:
    return BadConfiguration(f"post-processing {path.name} cannot be packaged", expected=_EXPECTED, seen=seen)
