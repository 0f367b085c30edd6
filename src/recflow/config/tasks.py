"""The tasks that are installed here: their names, and the sections of a recipe that each of them gives.

What they do is loaded when needed, by `recflow.tasks.registry`.
"""

from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import TypeVar

from pydantic import ConfigDict

from recflow.artifacts.frozen import Frozen
from recflow.config.sections.data import LabelledSection, LabelSection
from recflow.config.sections.gate import JudgedSection, OfflineGateSection
from recflow.config.sections.training import TrainedSection, TrainingSection
from recflow.errors import BadConfiguration

GROUP = "recflow.tasks"
NO_TASK = "none"
UNNAMED = "relevance"  # of recipes that name no task
BUILT_IN = {name: EntryPoint(name, f"recflow.tasks.{name}.task:TASK", GROUP) for name in ("relevance", "recommend")}

S = TypeVar("S", bound=Frozen)


@dataclass(frozen=True)
class Sections:
    """The sections of a recipe that its task gives, under the names that recipes call them by."""

    labels: type[LabelledSection]
    training: type[TrainedSection]
    offline_gate: type[JudgedSection]


class _UnreadLabels(LabelledSection):
    model_config = ConfigDict(extra="ignore")


class _UnreadTraining(TrainedSection):
    model_config = ConfigDict(extra="ignore")


class _UnreadGate(JudgedSection):
    model_config = ConfigDict(extra="ignore")


CUSTOMARY = Sections(LabelSection, TrainingSection, OfflineGateSection)
"""Of recipes that name no task, and of lines of data alone."""
UNREAD = Sections(_UnreadLabels, _UnreadTraining, _UnreadGate)
"""Of a task that cannot be loaded: its line stands still, and what it would be told is not judged."""


def task_sections(name: str) -> Sections:
    """What a task calls its options; `UNREAD` for one that is not installed or cannot be loaded."""
    if name in (UNNAMED, NO_TASK):
        return CUSTOMARY
    try:
        sections = installed_tasks()[name].load().sections
    except Exception:  # noqa: BLE001 - whatever somebody's own code raises is told where its line stands still
        return UNREAD
    return sections if isinstance(sections, Sections) else UNREAD


def section_as(section: Frozen, kind: type[S]) -> S:
    """The section, of a task that gives this kind; BadConfiguration for another task's."""
    if isinstance(section, kind):
        return section
    raise BadConfiguration(
        "the recipe's task has none of the options that this needs", expected=kind.__name__, seen=type(section).__name__
    )


def installed_tasks() -> dict[str, EntryPoint]:
    """Where each task is: the built-in ones, and those that distributions name in the entry point group."""
    return {point.name: point for point in entry_points(group=GROUP)} | BUILT_IN


def known_task(name: str) -> str:
    """The name of an installed task, or `none`; ValueError names what is installed."""
    if name in BUILT_IN or name == NO_TASK:
        return name
    installed = installed_tasks()
    if name in installed:
        return name
    raise ValueError(f"{name} is not installed here; installed: {', '.join([*sorted(installed), NO_TASK])}")
