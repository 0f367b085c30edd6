"""`python -m host up | down | status`: the commands behind `make up` and `make down`."""

import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from host.stack import Ports, Stack
from recflow.errors import RecflowError

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__, pretty_exceptions_enable=False)


def _stack(ports: Ports | None = None) -> Stack:
    return Stack(Path(os.environ.get("RECFLOW_HOME", ".home")), ports=ports or Ports())


@app.command()
def up(
    *, free_ports: Annotated[bool, typer.Option(help="Take free ports, beside another installation.")] = False
) -> None:
    """Start Triton, gateway and Airflow on this host, and give back the prompt."""
    stack = _stack(Ports.free() if free_ports else None)
    signal.signal(signal.SIGTERM, _interrupt)
    stack.start(lambda part: print(f"starting {part} …", flush=True))
    print(f"Airflow  {stack.airflow.url}\ngateway  {stack.gateway_url}/docs\nend it with: make down")


@app.command()
def down() -> None:
    """End what `up` or a detached demo started."""
    _stack().stop(lambda part: print(f"ending {part} …", flush=True))


@app.command()
def status() -> None:
    """Say which part runs."""
    processes = _stack().processes
    for name in processes.names():
        print(f"{name:24} {'running' if processes.alive(name) else 'ended'}")


def _interrupt(number: int, frame: FrameType | None) -> None:
    """A boot that is told to end ends like one that gets Ctrl-C: with everything that it had started."""
    raise KeyboardInterrupt


def main() -> None:
    """Run the command line; a failure is one message, not a traceback."""
    try:
        app()
    except RecflowError as error:
        print(error.message, file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
