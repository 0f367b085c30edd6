"""`make demo`: the whole loop on this machine, real in every part; only the shoppers are simulated."""

import os
import shutil
import signal
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from demo.report import show
from demo.screen import Screen
from demo.shop import Shop
from demo.story import Story
from host.airflow import REPOSITORY
from host.stack import Ports, Stack
from recflow.errors import RecflowError


def main(
    data: Annotated[Path | None, typer.Option(help="Folder of judged pairs with CrowdFlower's columns.")] = None,
    detach: Annotated[bool, typer.Option(help="Leave everything running; `make down` ends it.")] = False,
    home: Annotated[Path, typer.Option(help="Where the demo keeps its state; made anew.")] = REPOSITORY / ".home",
    *,
    free_ports: Annotated[bool, typer.Option(help="Take free ports, beside another installation.")] = False,
) -> None:
    """Play four days, show what was measured, and leave the pages open until Ctrl-C."""
    screen = Screen()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    stack = Stack(home)
    if any(stack.processes.alive(name) for name in stack.processes.names()):
        raise SystemExit("recflow runs here already: end it with `make down`")
    shutil.rmtree(home, ignore_errors=True)
    ports = Ports.free() if free_ports else Ports()
    stack = Stack(home, recipes=home / "recipes", source_root=home, ports=ports)
    try:
        _play(screen, Shop(home, data, datetime.now(UTC).date()), stack)
        _show_addresses(screen, stack)
        if not detach:
            threading.Event().wait()
    except KeyboardInterrupt:
        screen.say("ending …")
    except RecflowError as error:
        screen.say(str(error))
        stack.stop()
        raise SystemExit(error.exit_code) from error
    finally:
        if not detach:
            stack.stop()


def _play(screen: Screen, shop: Shop, stack: Stack) -> None:
    os.environ.update(stack.environment())
    from recflow.wiring import build_services

    screen.chapter("events", shop.open())
    screen.chapter("servers", "Triton, gateway, Airflow: real ones, on loopback")
    stack.start(screen.say)
    services = build_services()
    show(screen, services, Story(shop, stack, screen, services).play())
    stack.start_mlflow()


def _show_addresses(screen: Screen, stack: Stack) -> None:
    docs = sorted((stack.home / "cache").glob("*/data_docs/index.html"))
    pages = {
        "Airflow": stack.airflow.url,
        "MLflow": f"http://127.0.0.1:{stack.ports.mlflow} (half a minute)",
        "gateway": f"{stack.gateway_url}/docs",
        "Data Docs": docs[-1].as_uri() if docs else "none",
    }
    for page, address in pages.items():
        screen.say(f"{page:10} {address}")
    screen.say("Ctrl-C ends everything; a detached demo is ended by `make down`")


if __name__ == "__main__":
    typer.run(main)
