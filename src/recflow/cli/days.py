"""`recflow data`: what is kept of each day, and why."""

import json
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from recflow.wiring import build_services

app = typer.Typer(help="What is kept of each day, and why.", no_args_is_help=True)


@app.callback()
def _data() -> None:
    """What is kept of each day, and why."""


@app.command()
def compare(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="Name of a recipe, or path of its file.")],
    first: Annotated[str, typer.Argument(metavar="DAY", help="As 2011-01-04; 2011-01-04@1 is its first delivery.")],
    second: Annotated[str, typer.Argument(metavar="DAY", help="Another day, or another delivery of it.")],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="All numbers, for programs.")] = False,
) -> None:
    """Say what differs between two days, or two deliveries of one, and whether it is more than chance and habit."""
    from recflow.data.compare import compare_days, tables
    from recflow.data.heads import HeadHistory

    services = build_services()
    line = services.recipe(recipe)
    heads = HeadHistory(services.store, line.name)
    with TemporaryDirectory(prefix="compare-") as folder, services.engine(Path(folder)) as engine:
        found = compare_days(engine, services.artifacts, line, heads, (first, second))
    print(json.dumps(asdict(found), ensure_ascii=False, indent=1) if as_json else "\n".join(tables(found)))
