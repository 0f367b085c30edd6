"""`recflow data`: what is kept of each day, and why."""

from typing import Annotated

import typer

from recflow.errors import BadConfiguration
from recflow.wiring import build_services

app = typer.Typer(help="What is kept of each day, and why.", no_args_is_help=True)


@app.callback()
def _data() -> None:
    """What is kept of each day, and why."""


@app.command()
def history(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="The recipe's name.")],
    day: Annotated[str, typer.Argument(metavar="[DAY]", help="As 2011-01-04; none: every day.")] = "",
) -> None:
    """The partitions that were current for each day, oldest first, since when and why."""
    from recflow.data.heads import HeadHistory

    heads = HeadHistory(build_services().store, recipe)
    labels = [day] if day else heads.labels()
    found = [head for label in labels for head in heads.history(label)]
    if not found:
        raise BadConfiguration(
            f"{recipe} has no partition of {day or 'any day'}", expected="a recipe and a day of it", seen="none"
        )
    for head in found:
        since = f"{head.at:%Y-%m-%d %H:%M:%S}" if head.at else "unknown time".ljust(19)
        reason = head.reason or "unknown reason"
        print(f"{head.interval.label}  {head.seq:>3}  {since}  {head.partition.short}  {reason}")
