"""`make demo`: the whole loop on this machine, real in every part; only the shoppers are simulated."""

import fcntl
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, date, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from demo.recommend.shop import RecommendShop
from demo.recommend.story import RecommendStory
from demo.relevance.shop import RelevanceShop
from demo.relevance.story import RelevanceStory
from demo.report import show
from demo.screen import Screen
from demo.shop import Shop
from demo.story import Story
from host.own_process import end_like_ctrl_c, end_undisturbed, forget_settings
from host.stack import DEMO_HOME, Ports, Stack
from recflow.errors import BadConfiguration, RecflowError

INTERRUPTED = 130


class Line(StrEnum):
    """Whose story is told."""

    RELEVANCE = "relevance"
    RECOMMEND = "recommend"


STORIES: dict[Line, type[Story[Any]]] = {Line.RELEVANCE: RelevanceStory, Line.RECOMMEND: RecommendStory}


def main(
    line: Annotated[Line, typer.Option(help="The order of search results, or recommendations.")] = Line.RELEVANCE,
    data: Annotated[Path | None, typer.Option(help="Folder of judged pairs with CrowdFlower's columns.")] = None,
    detach: Annotated[bool, typer.Option(help="Leave everything running; `make down` ends it.")] = False,
    home: Annotated[Path, typer.Option(help="Where the demo keeps its state; made anew.")] = DEMO_HOME,
    *,
    free_ports: Annotated[bool, typer.Option(help="Take free ports, beside another installation.")] = False,
) -> None:
    """Play a line's days, show what was measured, and leave the pages open until Ctrl-C."""
    screen = Screen()
    end_like_ctrl_c()
    forget_settings()
    stack = Stack(home, recipes=home / "recipes", source_root=home, ports=Ports.free() if free_ports else Ports())
    try:
        shop = _shop(line, home, data, datetime.now(UTC).date())
        with _alone(home):
            shop.check()
            stack.check()
            shutil.rmtree(home, ignore_errors=True)
            _run(screen, STORIES[line], shop, stack, detach=detach)
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None
    except RecflowError as error:
        screen.say(str(error))
        raise SystemExit(error.exit_code) from error


def _shop(line: Line, home: Path, data: Path | None, today: date) -> Shop:
    """BadConfiguration for judged pairs that nothing is recommended by."""
    if line is Line.RELEVANCE:
        return RelevanceShop(home, today, data)
    if data is not None:
        raise BadConfiguration(
            "recommendations cannot be played on judged pairs", expected="no --data", seen=str(data),
            action="leave it out; docs/howto/recommendation.md says how to bring a shop's own acts",
        )  # fmt: skip
    return RecommendShop(home, today)


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    """Hold the home's lock; BadConfiguration while another demo does."""
    path = home.resolve().parent / f"{home.resolve().name}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BadConfiguration(
                f"another demo plays in {home}", expected="one demo a home", seen=f"a lock on {lock.name}",
                action="end it by Ctrl-C, or play elsewhere: make demo ARGS='--home FOLDER --free-ports'",
            ) from error  # fmt: skip
        yield


def _run(screen: Screen, story: type[Story[Any]], shop: Shop, stack: Stack, *, detach: bool) -> None:
    """Play, and wait for Ctrl-C; whatever ends the play early ends what it started."""
    played = False
    try:
        _play(screen, story, shop, stack)
        _show_addresses(screen, stack)
        played = True
        if not detach:
            _wait()
    finally:
        if not (detach and played):
            end_undisturbed()
            with suppress(OSError):  # a terminal that was closed cannot be written to
                screen.say("ending …")
            stack.stop()


def _wait() -> None:
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        return


def _play(screen: Screen, story: type[Story[Any]], shop: Shop, stack: Stack) -> None:
    os.environ.update(stack.environment())
    from recflow.wiring import build_services

    screen.chapter("events", shop.open())
    screen.chapter("servers", "Triton, gateway, Airflow: real ones, on loopback")
    stack.start(screen.say)
    services = build_services()
    show(screen, services, shop.line, story(shop, stack, screen, services).play())
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
