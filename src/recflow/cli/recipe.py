"""`recflow recipe`: write a recipe, and check it before it runs at night."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from recflow.config.recipe import OF_THE_TASK, Recipe
from recflow.config.recipe_loader import check_recipe, line_of, load_recipe, read_recipe_text
from recflow.config.sections.training import TrainingSection
from recflow.config.tasks import BUILT_IN, task_sections
from recflow.errors import BadConfiguration
from recflow.packaging.post_processing import refuse_unservable

app = typer.Typer(help="Write, check and compare recipes, and print their schema.", no_args_is_help=True)


@app.command()
def check(path: Annotated[Path, typer.Argument(help="The recipe's file.")]) -> None:
    """Report every mistake of a recipe with its line; exit code 78 when there is one."""
    text = read_recipe_text(path)
    recipe, mistakes = check_recipe(text, path.name)
    for mistake in mistakes:
        print(f"{path}: {mistake}")
    if recipe is None:
        raise typer.Exit(BadConfiguration.exit_code)
    recipe = load_recipe(path)
    if recipe.has_model:
        _refuse_unservable(recipe)
        _refuse_unheeded(recipe, path, text)
        _refuse_unreadable(recipe, path, text)
    print(f"{path}: recipe {recipe.name} is right, digest {recipe.digest[:12]}")
    for line in [_margins(recipe), *_plan(recipe, short=True)] if recipe.has_model else []:
        print(f"{path}: {line}")


def _refuse_unservable(recipe: Recipe) -> None:
    from recflow.wiring import build_services

    refuse_unservable(recipe.packaging, ordered=build_services().task(recipe.task).serving.ordered)


def _refuse_unheeded(recipe: Recipe, path: Path, text: str) -> None:
    """What the task's own trainer does not heed, with its line."""
    from recflow.training.own import refuse_unheeded, unheeded
    from recflow.wiring import build_services

    if build_services().task(recipe.task).trainer is None:
        return
    for name, why in unheeded(recipe.training).items():
        print(f"{path}: line {line_of(text, ('training', name))}: training.{name}: {why}")
    refuse_unheeded(recipe.training)


def _refuse_unreadable(recipe: Recipe, path: Path, text: str) -> None:
    """What the base model cannot honour, with its line."""
    from recflow.config.settings import read_settings
    from recflow.training.bases import base_folder, refuse_too_long

    if not recipe.training.base_model:
        return
    try:
        folder = base_folder(recipe.training.base_model, read_settings().base_models)
        if isinstance(recipe.training, TrainingSection):
            refuse_too_long(recipe.training, folder)
    except BadConfiguration as error:
        key = "max_tokens" if "max_tokens" in error.what else "base_model"
        print(f"{path}: line {line_of(text, ('training', key))}: training.{key}: {error.what}")
        raise


def _margins(recipe: Recipe) -> str:
    """Whether the data that is there can tell the gate's margins: a finer one ends INCONCLUSIVE for an equal model."""
    from recflow.evaluation.paired import attainable_margin
    from recflow.wiring import build_services, held_out

    services = build_services()
    units = services.task(recipe.task).metrics.units
    number = held_out(services, recipe.name, units)
    if number is None:
        return "no data set yet: the margin that the data can attain is known after the first retrain"
    gate = recipe.offline_gate
    attained = attainable_margin(number, confidence=gate.confidence)
    margins = {f"{rule.metric} max_drop": rule.max_drop for rule in gate.changes} | {"floor_margin": gate.floor_margin}
    said = [
        f"{name} {value:g} is {'wide enough' if value >= attained else 'too fine'}" for name, value in margins.items()
    ]
    return f"{number} held-out {units} can tell a margin of {attained:.3f}: {', '.join(said)}"


@app.command()
def new(
    sample: Annotated[Path, typer.Argument(help="A file of events, or a folder: CSV, JSON lines, Parquet.")],
    path: Annotated[Path, typer.Argument(metavar="RECIPE", help="The recipe's file, as recipes/shop.yaml: a new one.")],
    *,
    zone: Annotated[str, typer.Option(help="Whose clocks times without an offset are by, as Europe/Berlin.")] = "",
    owner: Annotated[str, typer.Option(help="Who answers for the line; default: the user of this process.")] = "",
) -> None:
    """Write a recipe that reads a sample of events: columns, kinds, checks and task, and what nobody could guess."""
    from recflow.cli.propose import write_new_recipe
    from recflow.wiring import build_services

    write_new_recipe(build_services(), sample, path, owner=owner, zone=zone)
    check(path)


@app.command()
def plan(
    recipe: Annotated[str, typer.Argument(help="A recipe's file, or the name of an installed one.")],
    *,
    change: Annotated[bool, typer.Option("--change", help="As a change, which must be better.")] = False,
) -> None:
    """Say how long an experiment takes, how each guardrail is judged, and who would pass, before anything starts."""
    from recflow.wiring import expect_model

    for line in _plan(expect_model(_any_recipe(recipe)), change=change):
        print(line)


def _plan(recipe: Recipe, *, short: bool = False, change: bool = False) -> list[str]:
    """The lines of an experiment that would start now; `short`: without each guardrail's."""
    from recflow.experiments.planning import plan_online
    from recflow.experiments.power import plan_lines
    from recflow.experiments.traffic import read_traffic
    from recflow.wiring import build_services

    services, hours = build_services(), recipe.rollout.judging.max_judging_hours
    traffic = read_traffic(services.events, recipe, services.clock.now(), hours)
    online = plan_online(recipe.online_gate, recipe.outcomes, "change" if change else "refresh", traffic)
    return [*(["as a change, which must be better:"] if change else []), *plan_lines(online, short=short)]


@app.command()
def diff(
    before: Annotated[str, typer.Argument(help="A recipe's file, or the name of an installed one.")],
    after: Annotated[str, typer.Argument(help="The other one.")],
) -> None:
    """Print what differs between two recipes, whether that is a change, and which stages would be computed again."""
    from recflow.domain.changes import all_options, differences, shaping_options
    from recflow.wiring import stages_computed_again

    recipes = [_any_recipe(name) for name in (before, after)]
    old, new = (recipe.model_dump(mode="json", by_alias=False) for recipe in recipes)
    found = differences(all_options(old), all_options(new))
    shaping = differences(shaping_options(old), shaping_options(new))
    for line in found:
        print(f"{line}{'' if line in shaping else '  (shapes no answer)'}")
    print("a change: it must be better than what serves" if shaping else "a refresh: it must be no worse")
    print(f"computed again: {', '.join(stages_computed_again(*recipes)) or 'nothing'}")


def _any_recipe(name: str) -> Recipe:
    from recflow.wiring import build_services

    path = Path(name)
    return load_recipe(path) if path.is_file() else build_services().recipe(name)


@app.command()
def schema() -> None:
    """Print the JSON Schema of a recipe, which is published as recipes/recipe.schema.json."""
    print(json.dumps(recipe_schema(), indent=1, ensure_ascii=False))


def recipe_schema() -> dict[str, Any]:
    """The JSON Schema of a recipe's file; the sections that its task gives are those of the task that it names."""
    whole = Recipe.model_json_schema()
    definitions, by_task = whole["$defs"], []
    for task in BUILT_IN:
        kinds = {name: getattr(task_sections(task), name) for name in OF_THE_TASK}
        made = {name: kind.model_json_schema(ref_template="#/$defs/{model}") for name, kind in kinds.items()}
        for schema in made.values():
            definitions |= schema.pop("$defs", {})
        definitions |= {kinds[name].__name__: schema for name, schema in made.items()}
        own = {name: {"$ref": f"#/$defs/{kinds[name].__name__}"} for name in OF_THE_TASK}
        named = {"properties": {"task": {"const": task}}}
        by_task.append({"if": named, "then": {"properties": own}})
    for name in OF_THE_TASK:
        whole["properties"][name] = {"type": "object"}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **whole, "allOf": by_task}
