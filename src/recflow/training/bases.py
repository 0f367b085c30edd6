"""Base models as folders, and what they can read; light, so that a recipe can be checked without torch."""

import importlib
import json
from pathlib import Path
from typing import Any

from recflow.artifacts.digests import digest_json
from recflow.config.sections.training import TrainingSection
from recflow.errors import BadConfiguration
from recflow.storage import list_files


def base_folder(name: str, base_models: Path | None) -> Path:
    """A base model's folder: a path, one below `base_models`, or that of a package with `get_model_path()`."""
    candidates = [Path(name), *([base_models / name] if base_models else [])]
    for folder in candidates:
        if (folder / "config.json").exists():
            return folder
    try:
        return Path(importlib.import_module(name.replace("-", "_").lower()).get_model_path())
    except (ImportError, AttributeError, ValueError) as error:
        raise BadConfiguration(
            f"base model {name} was not found",
            expected="a folder with config.json, or an installed package with get_model_path()",
            seen=", ".join(map(str, candidates)),
            action="install the package or set RECFLOW_BASE_MODELS",
        ) from error


def base_digest(folder: Path) -> str:
    """What a base model's files hold, in short: another one under the same name is another base."""
    return digest_json([(entry.path, entry.sha256) for entry in list_files(folder)])[:12]


def refuse_too_long(section: TrainingSection, folder: Path) -> None:
    """BadConfiguration when `max_tokens` is more than the base model in a folder has positions for."""
    limit = _positions(folder)
    if limit is not None and section.max_tokens > limit:
        raise BadConfiguration(
            f"training.max_tokens is more than base model {section.base_model} can read",
            expected=f"at most {limit}",
            seen=str(section.max_tokens),
        )


def _positions(folder: Path) -> int | None:
    """The smaller of the model's positions and its tokenizer's limit; None for a base that names neither."""
    named = (("config.json", "max_position_embeddings"), ("tokenizer_config.json", "model_max_length"))
    limits = [_read(folder / file).get(key) for file, key in named]
    return min((int(limit) for limit in limits if limit is not None), default=None)


def _read(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise BadConfiguration(
            f"{path.name} of base model {path.parent.name} cannot be read", expected="JSON", seen=str(error)
        ) from error
    return found
