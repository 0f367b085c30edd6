"""`recflow triton`: the local Triton server, up, down and how it is."""

import logging
import signal
import subprocess
import sys
import time
from typing import Annotated

import typer

from recflow.clients.triton_home import TritonHome
from recflow.clients.triton_process import TritonSupervisor, stop_triton
from recflow.config.settings import Settings, read_settings
from recflow.errors import BadConfiguration

app = typer.Typer(help="The local Triton server.", no_args_is_help=True)


@app.command()
def up(*, detach: Annotated[bool, typer.Option(help="Return once it answers.")] = False) -> None:
    """Start Triton and keep it alive until Ctrl-C or `recflow triton down`."""
    settings = read_settings()
    if detach:
        _start_detached(settings)
        return
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    supervisor = TritonSupervisor(settings)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: supervisor.stop())
    supervisor.run()


@app.command()
def down() -> None:
    """Stop Triton; no process and no shared memory is left."""
    ran = stop_triton(TritonHome(read_settings().home))
    print("Triton is down" if ran else "Triton was not running")


@app.command()
def status() -> None:
    """Say how Triton is; exit code 1 when it does not serve."""
    home = TritonHome(read_settings().home)
    state = home.read()
    models = ", ".join(sorted(set(home.stubs()))) or "no model"
    if state is None:
        print(f"Triton is {f'running without a supervisor, {models}' if home.processes() else 'down'}")
        raise typer.Exit(1)
    print(f"Triton {state.server_pid} at {state.grpc}: {'ready' if state.ready else 'starting'}, {models}")
    print(f"supervisor {state.supervisor_pid}, {state.restarts} restarts, log {home.log}")
    raise typer.Exit(0 if state.ready else 1)


def _start_detached(settings: Settings) -> None:
    home = TritonHome(settings.home)
    if home.read() is None:
        home.root.mkdir(parents=True, exist_ok=True)
        log = home.root / "supervisor.log"
        with log.open("wb") as stream:
            command = [sys.executable, "-m", "recflow.cli.main", "triton", "up"]
            supervisor = subprocess.Popen(command, stdout=stream, stderr=stream, start_new_session=True)
        while not ((state := home.read()) and state.ready):
            if supervisor.poll() is not None:
                lines = log.read_text(encoding="utf-8").strip().splitlines() or ["nothing"]
                raise BadConfiguration("Triton does not start", expected="a server", seen=lines[-1])
            time.sleep(0.1)
    status()
