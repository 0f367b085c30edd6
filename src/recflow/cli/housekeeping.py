"""`recflow housekeeping`: free the space of what no release needs."""

from typing import Annotated

import typer

from recflow.wiring import build_services, clean_store

app = typer.Typer()


@app.command()
def housekeeping(
    recipe: Annotated[str, typer.Argument(help="Name of a recipe, or path of its file.")],
    *,
    at_once: Annotated[
        bool, typer.Option(help="Do not wait for a second pass. Only while no run of the recipe is under way.")
    ] = False,
) -> None:
    """Delete what no release needs: never the stable, the previous, an open release, or what they were made from."""
    for what, number in clean_store(build_services(), recipe, at_once=at_once).items():
        print(f"{what.replace('_', ' '):24} {number}")
