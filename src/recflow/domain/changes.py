"""What differs between two models: the options of their recipes that shape a model or its answers, and the code.

Options that only say how fast, where or how often something runs change no answer, and neither does a comment.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from recflow.artifacts.digests import digest_json
from recflow.config.recipe import Recipe
from recflow.config.tasks import UNNAMED

# The sections that enter the keys of the stages up to the package.
SHAPING = ("data", "outcomes", "labels", "split", "training", "compression", "packaging")
_NEUTRAL = frozenset(
    {
        "data.source.path",
        "packaging.instances",
        "packaging.max_batch_size",
        "packaging.max_queue_delay_us",
        "packaging.post_processing",  # the file's name; its code counts
        "packaging.threads",
        "training.checkpoint_every_steps",
        "training.processes",
    }
)
# What says when, where, for whom and how strictly, the same for every version: a difference there is no change.
NEUTRAL_SECTIONS = frozenset(
    {
        "name",
        "task",  # whether there is a model at all
        "owner",
        "description",
        "tags",
        "schedule",
        "offline_gate",
        "online_gate",
        "rollout",
        "serving",
        "watch",
        "retention",
    }
)
_LONGEST_VALUE = 60
_DIGITS = 12
_FEW = 3  # differences in a sentence; the ledger's entry has all
BASE_MODEL = "base model"  # its weights, not its name; packages of former versions do not tell them


def shaping_options(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a recipe, as it was dumped, that shape the model, by dotted name; absent ones at their default."""
    task = recipe.get("task", UNNAMED)
    defaults = Recipe(name="any", owner="any", task=task).model_dump(mode="json", include=set(SHAPING))
    options = all_options(defaults) | all_options({name: recipe[name] for name in SHAPING if name in recipe})
    return {name: value for name, value in options.items() if name not in _NEUTRAL}


def all_options(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """Every option of a recipe by dotted name."""
    return dict(_flat(recipe))


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[str, ...]:
    """`option: old → new` for each option that differs, in order of name."""
    names = sorted(name for name in {*before, *after} if before.get(name) != after.get(name))
    if BASE_MODEL in names and not (before.get(BASE_MODEL) and after.get(BASE_MODEL)):
        names.remove(BASE_MODEL)
    return tuple(f"{name}: {_short(before.get(name))} → {_short(after.get(name))}" for name in names)


def scoring_code(rules: Mapping[str, str]) -> dict[str, Any]:
    """The files that score, by name, each with its digest in short; post-processing is an option, and told as one."""
    return {f"code {name}": digest[:_DIGITS] for name, digest in rules.items() if name != "post_processing.py"}


def stage_version(stage: str, version: int) -> dict[str, Any]:
    """A stage's version: its code shapes the answers as well."""
    return {f"stage {stage}": version}


def fingerprint(made_with: Mapping[str, Any]) -> str:
    """The digest by which candidates of one change are known."""
    return digest_json(dict(made_with))


def in_short(changes: Sequence[str]) -> str:
    """The first differences and how many more there are, for a sentence."""
    more = f" and {len(changes) - _FEW} more" if len(changes) > _FEW else ""
    return f"{'; '.join(changes[:_FEW])}{more}"


def _flat(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, inner in value.items():
        if isinstance(inner, Mapping) and inner:
            yield from _flat(inner, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", inner


def _short(value: Any) -> str:
    text = "none" if value in (None, "") else str(value)
    return text if len(text) <= _LONGEST_VALUE and "\n" not in text else f"{len(text)} characters"
