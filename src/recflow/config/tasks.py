"""The names of the tasks that are installed here. What they do is loaded when needed, by `recflow.tasks.registry`."""

from importlib.metadata import EntryPoint, entry_points

GROUP = "recflow.tasks"
NO_TASK = "none"
UNNAMED = "relevance"  # of recipes that name no task
BUILT_IN = {"relevance": EntryPoint("relevance", "recflow.tasks.relevance.task:TASK", GROUP)}


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
