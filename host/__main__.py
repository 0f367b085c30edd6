"""`python -m host up | down | status`: the commands behind `make up` and `make down`."""

import sys
from typing import Annotated

import typer

from host.own_process import end_like_ctrl_c
from host.stack import DEMO_HOME, Ports, Stack
from recflow.config.settings import read_settings
from recflow.errors import RecflowError

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__, pretty_exceptions_enable=False)


@app.command()
def up(
    *, free_ports: Annotated[bool, typer.Option(help="Take free ports, beside another installation.")] = False
) -> None:
    """Start Triton, gateway and Airflow on this host, and give back the prompt."""
    end_like_ctrl_c()
    settings = read_settings()
    ports = Ports.free() if free_ports else Ports.of(settings)
    runtime, keys = settings.triton_runtime, settings.gateway_keys_file
    stack = Stack(settings.home, settings.recipes, settings.source_root, ports, runtime, keys)
    stack.start(lambda part: print(f"starting {part} …", flush=True))
    print(f"Airflow  {stack.airflow.url}\ngateway  {stack.gateway_url}/docs\nend it with: make down")


@app.command()
def down() -> None:
    """End what `up` or a detached demo started."""
    for home in (read_settings().home, DEMO_HOME):
        stack = Stack(home)
        print(f"ending {', '.join(stack.processes.names()) or 'nothing'} in {home} …", flush=True)
        stack.stop()


@app.command()
def status() -> None:
    """Say which part runs."""
    processes = Stack(read_settings().home).processes
    for name in processes.names():
        print(f"{name:24} {'running' if processes.alive(name) else 'ended'}")


def main() -> None:
    """Run the command line; a failure is one message, not a traceback."""
    try:
        app()
    except RecflowError as error:
        print(error.message, file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
