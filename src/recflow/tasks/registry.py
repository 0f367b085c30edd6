"""Tasks by name: built in, or brought by an installed distribution through the entry point group `recflow.tasks`."""

from recflow.config.tasks import BUILT_IN, installed_tasks
from recflow.errors import BadConfiguration
from recflow.tasks.base import Task


def find_task(name: str) -> Task:
    """The task of a recipe's name for it.

    BadConfiguration when none is installed under the name, or it cannot be imported or is no task: the lines of this
    task stand still with that reason, and no others.
    """
    point = BUILT_IN.get(name) or installed_tasks().get(name)
    if point is None:
        raise BadConfiguration(f"there is no task {name}", expected=", ".join(sorted(installed_tasks())), seen=name)
    try:
        task = point.load()
    except Exception as error:  # whatever somebody's own code raises is about the lines of that task
        raise BadConfiguration(
            f"task {name} cannot be loaded",
            expected=f"a Task at {point.value}",
            seen=f"{type(error).__name__}: {error}",
        ) from error
    if not isinstance(task, Task) or task.name != name:
        raise BadConfiguration(
            f"task {name} cannot be loaded", expected=f"Task({name!r}, …) at {point.value}", seen=repr(task)[:200]
        )
    return task
