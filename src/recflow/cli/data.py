"""Commands of the data room."""

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Data: sample shops and simulated faults.", no_args_is_help=True)


@app.command("sample-data")
def sample_data(  # noqa: PLR0913, PLR0917 - one parameter an option
    days: Annotated[int, typer.Option(min=1, help="Days to generate.")],
    out: Annotated[Path, typer.Option(help="Folder to write; an existing one is overwritten file by file.")],
    seed: Annotated[int, typer.Option(help="Equal seeds give equal files.")] = 7,
    rows: Annotated[int, typer.Option(min=1000, help="Impressions a day, about.")] = 24_000,
    queries: Annotated[int, typer.Option(min=10, help="Distinct queries a day.")] = 150,
    users: Annotated[int, typer.Option(min=10, help="Shoppers.")] = 2_000,
    first_day: Annotated[datetime, typer.Option(formats=["%Y-%m-%d"])] = datetime(2011, 1, 1),  # noqa: DTZ001 - a date
    shuffled_day: Annotated[
        list[datetime] | None, typer.Option(formats=["%Y-%m-%d"], help="A day whose outcomes hit the wrong items.")
    ] = None,
    faults: Annotated[bool, typer.Option(help="Plant the twelve faults.")] = True,
    swaps: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Share of searches that try another item first; else a fixed order."),
    ] = None,
    eta: Annotated[
        float, typer.Option(min=0, max=5, help="Shoppers look at position k with probability k**-eta.")
    ] = 0.5,
) -> None:
    """Write a generated shop: catalogue, users, searches, clicks, carts and purchases, with faults planted."""
    from recflow.data.sample.shop import SampleShop, write_shop

    shop = SampleShop(
        days=days,
        seed=seed,
        rows=rows,
        queries=queries,
        users=users,
        first_day=first_day.date(),
        shuffled_days=frozenset(day.date() for day in shuffled_day or ()),
        faults=faults,
        swaps=swaps,
        eta=eta,
    )
    written = write_shop(shop, out)
    typer.echo(f"{sum(written.values())} events on {len(written)} days in {out}")


@app.command("shuffle-grades")
def shuffle_grades(
    folder: Annotated[Path, typer.Argument(help="A CrowdFlower folder.")],
    out: Annotated[Path, typer.Option(help="Folder for the spoilt copy.")],
    recipe: Annotated[Path, typer.Option(help="Recipe file: how rows get their days and queries their splits.")],
    day: Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="The day to spoil.")],
) -> None:
    """Copy judged pairs with the grades of one day on the wrong products, as a broken join would leave them."""
    from recflow.config.recipe_loader import load_recipe
    from recflow.data.sample.shuffle import shuffle_grades as shuffle

    loaded = load_recipe(recipe)
    changed = shuffle(folder, out, day.date(), loaded.data.source, loaded.split)
    typer.echo(f"{changed} grades of {day:%Y-%m-%d} changed in {out}")
