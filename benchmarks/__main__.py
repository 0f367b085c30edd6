"""`python -m benchmarks [NAME …] [--quick]`: measure, keep, render, and say which target is met."""

import importlib
import sys
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from benchmarks.results import keep, kept, render, rows

MODULES = ("training_speed", "serving_speed", "retrain")


def main(
    names: Annotated[list[str] | None, typer.Argument(help=f"Which of {', '.join(MODULES)}; none: all.")] = None,
    quick: Annotated[bool, typer.Option(help="Small sizes: to see that it works, not to claim a figure.")] = False,
) -> None:
    """Measure what the documents claim."""
    for name in names or MODULES:
        print(f"measuring {name} …", flush=True)
        measured = importlib.import_module(f"benchmarks.{name}").measure(quick)
        for result in measured if isinstance(measured, list) else [measured]:
            keep(result)
    render()
    table = Table("figure", "value", "target", "", "against", "beside it")
    for row in rows(kept()):
        table.add_row(*row)
    Console(width=None if sys.stdout.isatty() else 160).print(table)


if __name__ == "__main__":
    typer.run(main)
