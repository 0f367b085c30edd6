"""The code that a model or a package carries, loaded as the server loads it."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from recflow.artifacts.digests import digest_json


def load_scorer(folder: Path) -> Any:
    """The `Scorer` of a folder's `scoring.py`; any error is the code's own."""
    return load_code(folder / "scoring.py").Scorer(str(folder))


def load_code(path: Path) -> ModuleType:
    """A module from its file, under a name of its own, so that two packages in one process cannot mix."""
    spec = importlib.util.spec_from_file_location(f"{path.stem}_of_{digest_json(str(path.resolve()))[:12]}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # as an import would: dataclasses look their module up
    spec.loader.exec_module(module)
    return module
