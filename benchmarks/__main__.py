"""`python -m benchmarks [NAME …] [--quick]`: measure, keep, render, and say which target is met."""

import importlib
import sys
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from benchmarks.results import keep, kept, render, rows
from host.own_process import end_like_ctrl_c, forget_settings
from recflow.errors import RecflowError

MODULES = (
    "data_engine",
    "long_history",
    "training_speed",
    "serving_speed",
    "signing_speed",
    "retrain",
    "experiment_looks",
    "recommend_quality",
    "recommend_training",
)


def main(
    names: Annotated[list[str] | None, typer.Argument(help=f"Which of {', '.join(MODULES)}; none: all.")] = None,
    quick: Annotated[bool, typer.Option(help="Small sizes: to see that it works; nothing is kept.")] = False,
) -> None:
    """Measure what the documents claim."""
    end_like_ctrl_c()
    forget_settings()
    try:
        results = [result for name in names or MODULES for result in _measured(name, quick=quick)]
    except RecflowError as error:
        print(error.message, file=sys.stderr)
        raise SystemExit(error.exit_code) from error
    _show(results if quick else kept())


def _measured(name: str, *, quick: bool) -> list[dict[str, Any]]:
    """The figures of one benchmark; those that may be claimed are kept and rendered at once."""
    print(f"measuring {name} …", flush=True)
    measured = importlib.import_module(f"benchmarks.{name}").measure(quick)
    results = measured if isinstance(measured, list) else [measured]
    if not quick:
        for result in results:
            keep(result)
        render()
    return results


def _show(results: list[dict[str, Any]]) -> None:
    table = Table("figure", "value", "target", "", "against", "beside it")
    for row in rows(results):
        table.add_row(*row)
    Console(width=None if sys.stdout.isatty() else 160).print(table)


if __name__ == "__main__":
    typer.run(main)
