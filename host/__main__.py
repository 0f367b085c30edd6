"""`python -m host up | down | status`: the commands behind `make up` and `make down`."""

import os
from pathlib import Path

import typer

from host.stack import Stack

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__)


def _stack() -> Stack:
    return Stack(Path(os.environ.get("RECFLOW_HOME", ".home")))


@app.command()
def up() -> None:
    """Start Triton, gateway and Airflow on this host, and give back the prompt."""
    stack = _stack()
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


if __name__ == "__main__":
    app()
