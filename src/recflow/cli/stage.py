"""`recflow stage`: one stage, the same function that a worker or a pod runs."""

import json
import logging
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from recflow.config.settings import process_rank
from recflow.domain.intervals import day_interval
from recflow.domain.reasons import refuse_long
from recflow.errors import BadConfiguration, RecflowError
from recflow.stages import Inputs
from recflow.wiring import STAGES, StageCall, build_services, finish_stage, load_inputs, run_rank

app = typer.Typer()


@app.command()
def stage(
    name: Annotated[str, typer.Argument(help="The stage: " + ", ".join(STAGES))],
    *,
    recipe: Annotated[str, typer.Option(help="Name of a recipe, or path of its file.")],
    interval: Annotated[str, typer.Option(help="The day in the recipe's time zone, as 2011-01-04.")],
    inputs: Annotated[Path, typer.Option(help="JSON file: input name to a reference or a list of them.")],
    out: Annotated[Path, typer.Option(help="File that the result's reference is written to.")],
    fresh: Annotated[str, typer.Option(help="Recompute, and say why.", metavar="REASON")] = "",
) -> None:
    """Run one stage of the loop in this process; an equal earlier result is reused.

    As one rank of a gang, only rank 0 publishes.
    """
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("recflow").setLevel(logging.INFO)
    if name not in STAGES:
        raise BadConfiguration(f"there is no stage {name}", expected=", ".join(STAGES), seen=name)
    refuse_long(fresh, "a manifest", BadConfiguration)
    services = build_services()
    plan = services.recipe(recipe)
    call = StageCall(name, plan, day_interval(interval, plan.schedule.timezone), _read_inputs(inputs), fresh)
    try:
        ref = run_rank(services, call, publish=process_rank() == 0)
        if ref is not None:
            finish_stage(services, call, ref)
    except RecflowError as error:
        _leave_word(error, out.with_name("error.json"))
        raise
    if ref is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(ref.model_dump_json(indent=1) + "\n")
        print(ref.uri)


def _leave_word(error: RecflowError, path: Path) -> None:
    """Write the error beside the result's file, for the caller of a job; of a gang's ranks the first one is heard."""
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as stream:
            json.dump(error.as_record(), stream)


def _read_inputs(path: Path) -> Inputs:
    try:
        return load_inputs(path.read_text())
    except (OSError, json.JSONDecodeError, AttributeError, ValidationError) as error:
        raise BadConfiguration(
            f"the inputs in {path} cannot be read",
            expected="a JSON object of references",
            seen=str(error),
            action="pass the file that the failed call names, or write one from the references in its log",
        ) from error
