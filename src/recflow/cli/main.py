"""The `recflow` command. Every room's commands are imported when they are called, not to show the help."""

import importlib
import shlex
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass

import typer

from recflow.errors import EXIT_BUG, EXIT_DONE, RecflowError

_LONGEST_COMMAND = 5000  # characters; a longer one hides what was wrong


@dataclass(frozen=True)
class _Room:
    """Where a command is: a module whose typer `app` is the command, or has it."""

    module: str
    help: str


_ROOMS = {
    "stage": _Room("recflow.cli.stage", "Run one stage of the loop in this process."),
    "recipe": _Room("recflow.cli.recipe", "Write, check and compare recipes, and print their schema."),
    "compare": _Room("recflow.cli.compare", "Compare two packages on the same held-out rows; nothing is changed."),
    "plan": _Room("recflow.cli.recipe", "Say how long an experiment takes, and who would pass, before it starts."),
    "data": _Room("recflow.cli.days", "What is kept of each day, and why."),
    "sample-data": _Room("recflow.cli.data", "Generate a shop with planted faults."),
    "shuffle-grades": _Room("recflow.cli.data", "Copy judged pairs with one day's grades on the wrong products."),
    "quarantine": _Room("recflow.cli.quarantine", "Show what refuses a day's rows, and release rows or the day."),
    "release": _Room("recflow.cli.release", "Advance, approve, abort, roll back and show releases."),
    "adopt": _Room("recflow.cli.release", "Make the model that serves today the first stable."),
    "watch": _Room("recflow.cli.release", "Probe what serves now; a breach rolls back."),
    "triton": _Room("recflow.cli.triton", "The local Triton server."),
    "gateway": _Room("recflow.cli.gateway", "Serve: route shoppers' requests to versions."),
    "replay": _Room("recflow.cli.gateway", "Send judged queries as simulated shoppers."),
    "housekeeping": _Room("recflow.cli.housekeeping", "Free the space of what no release needs."),
}


def build_app(called: str) -> typer.Typer:
    """The command line with all rooms in its help, of which only the one that is called is imported."""
    app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
    app.callback()(_recflow)
    for name, room in _ROOMS.items():
        if name == called:
            _mount(app, name, importlib.import_module(room.module).app)
        else:
            app.command(name, help=room.help)(_recflow)
    return app


def _mount(app: typer.Typer, name: str, room: typer.Typer) -> None:
    """Mount the room's command of this name, or the whole room when it has none."""
    own = [info for info in room.registered_commands if name in {info.name, getattr(info.callback, "__name__", "")}]
    if own:
        app.registered_commands.extend(own)
    else:
        app.add_typer(room, name=name)


def _recflow() -> None:
    """Keep search and recommendation models fresh, judged and safely in production."""


def run(arguments: Sequence[str]) -> int:
    """Run a command line and give back its exit code; failures end on stderr with the line that repeats them."""
    try:
        called = next((word for word in arguments if not word.startswith("-")), "")
        build_app(called)(list(arguments), prog_name="recflow")
        return EXIT_DONE  # noqa: TRY300 - typer ends most command lines by SystemExit instead
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else EXIT_DONE
    except RecflowError as error:
        _say(error.message, *getattr(error, "__notes__", ()))
        code = error.exit_code
    except Exception:  # noqa: BLE001 - what is not a RecflowError is a bug: keep its traceback, say so by the exit code
        _say(traceback.format_exc())
        code = EXIT_BUG
    command = shlex.join(["recflow", *arguments])
    shown = len(command) <= _LONGEST_COMMAND and command.isprintable()  # what a terminal would obey is not repeated
    _say(f"Run it again: {command}" if shown else "Run it again: the same command")
    return code


def _say(*lines: str) -> None:
    print(*lines, sep="\n", file=sys.stderr)


def main() -> None:
    """Run the command line of this process."""
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
