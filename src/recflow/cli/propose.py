"""`recflow recipe new`: from a sample of a shop's events to a recipe that reads them."""

import getpass
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from recflow.config.recipe import NAME
from recflow.config.recipe_loader import parse_recipe
from recflow.config.zones import known_zone
from recflow.data.proposal.propose import Proposal, Told, needs_zone, propose
from recflow.data.proposal.sample import Sample, read_sample
from recflow.data.proposal.trial import Trial, try_recipe
from recflow.errors import BadConfiguration, BadData
from recflow.wiring import Services


def write_new_recipe(services: Services, sample_path: Path, target: Path, *, owner: str, zone: str) -> None:
    """Write the recipe that reads a sample and say what it was guessed from; BadConfiguration where there is a file."""
    _refuse_taken(target)
    console = Console(highlight=False)
    with console.status("reading the sample"):
        sample = _read(sample_path)
    told = Told(target.stem, owner or getpass.getuser(), _path(services, sample), _zone(sample, zone))
    proposal = propose(sample, told)
    with console.status("trying the recipe on the sample"):
        trial = try_recipe(parse_recipe(proposal.text, target.name), sample, services.engine)
    try:
        with target.open("x", encoding="utf-8") as stream:
            stream.write(proposal.text)
    except OSError as error:
        raise BadConfiguration(
            f"{target} cannot be written", expected="a folder for recipes", seen=str(error)
        ) from error
    _print(console, target, sample, proposal, trial)


def _read(path: Path) -> Sample:
    try:
        return read_sample(path)
    except BadData as error:
        raise BadData(
            error.what,
            expected=error.expected,
            seen=error.seen,
            then="no recipe is written",
            action="mend the sample, or name another",
        ) from error


def _refuse_taken(target: Path) -> None:
    if target.suffix != ".yaml" or not re.fullmatch(NAME, target.stem):
        raise BadConfiguration(
            f"{target} is no name for a recipe",
            expected="a file as shop.yaml: 2 to 41 small letters, digits and low lines",
            seen=target.name,
        )
    if target.exists():
        raise BadConfiguration(
            f"{target} is there already", expected="a name that is free", seen="a file", action="name another"
        )


def _path(services: Services, sample: Sample) -> str:
    """The sample's folder as a recipe says it: from where relative sources start, if it lies there."""
    root = services.settings.source_root.resolve()
    return sample.folder.relative_to(root).as_posix() if sample.folder.is_relative_to(root) else str(sample.folder)


def _zone(sample: Sample, zone: str) -> str:
    """The zone of times without an offset; a person at a terminal is asked for it."""
    if not zone and needs_zone(sample) and sys.stdin.isatty():
        zone = typer.prompt("The sample's times have no offset. By whose clocks are they, as Europe/Berlin?")
    try:
        return known_zone(zone) if zone else ""
    except ValueError as error:
        raise BadConfiguration(
            "--zone cannot be read", expected="a time zone as Europe/Berlin", seen=str(error)
        ) from error


def _print(console: Console, target: Path, sample: Sample, proposal: Proposal, trial: Trial) -> None:
    console.print(f"{target}: task {proposal.task}, from {sample.rows:,} rows of {sample.pattern}", markup=False)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), title="\nguessed", title_justify="left")
    for heading in ("ours", "made of", "because of"):
        table.add_column(heading, overflow="fold")
    for guess in proposal.guesses:
        table.add_row(guess.column, escape(_made_of(guess.rule)), escape(guess.why))
    console.print(table)
    if proposal.unused:
        console.print(f"not used: {', '.join(proposal.unused)}", markup=False)
    console.print("\n[bold]for you to say[/bold]")
    _indented(console, proposal.open)
    console.print(f"\n[bold]tried on {trial.rows:,} rows of {trial.day}[/bold]: {trial.kept:,} would be kept")
    _indented(console, (f"{rows:,} in quarantine for {reason}" for reason, rows in trial.reasons.items()))
    _indented(console, (f"refuses the day: {refusal}" for refusal in trial.refusals))
    console.print()


def _indented(console: Console, lines: Iterable[str]) -> None:
    for line in lines:
        console.print(Padding(Text(line), (0, 0, 0, 2)))


def _made_of(rule: Any) -> str:
    """The rule of a column as a person reads it: its source first, then what becomes of it."""
    if isinstance(rule, str):
        return rule
    return ", ".join(_told(key, value) for key, value in rule.items())


def _told(key: str, value: Any) -> str:
    if key == "column":
        return str(value)
    if value is True:
        return key
    if isinstance(value, Mapping):
        return f"{key} {', '.join(f'{theirs} → {ours}' for theirs, ours in value.items())}"
    return f"{key} {', '.join(value) if isinstance(value, list) else value}"
