"""`recflow data`: what is kept of each day, and why."""

from datetime import UTC, datetime
from itertools import islice
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
def propensity(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="Name of a recipe, or path of its file.")],
    days: Annotated[int, typer.Option(min=1, help="The newest days that are read.")] = 30,
) -> None:
    """Say how likely shoppers look at each position, from days on which ranks changed, and what the recipe has."""
    from recflow.data.heads import HeadHistory
    from recflow.data.labels import read_events
    from recflow.data.propensity import estimate_examination, told

    services = build_services()
    line = services.recipe(recipe)
    heads = islice(HeadHistory(services.store, line.name).newest_first(datetime.max.replace(tzinfo=UTC)), days)
    files = [(head.interval.label, services.artifacts.fetch(head.partition) / "rows.parquet") for head in heads]
    if not files:
        print(f"{line.name} has no validated day yet")
        raise typer.Exit(1)
    with TemporaryDirectory(prefix="propensity-") as folder, services.engine(Path(folder)) as engine:
        found = estimate_examination(engine, read_events(engine, files), line.labels, line.outcomes)
    print("\n".join(told(found, line.labels.position_bias_eta)))
