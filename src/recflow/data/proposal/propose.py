"""A recipe for a sample: its columns, its task, its checks, and what a person must still say."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from io import SEEK_END, StringIO
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq

from recflow.config.recipe_loader import parse_recipe
from recflow.config.sections.outcomes import OutcomesSection
from recflow.config.sections.sources import DELIVERY_COLUMNS
from recflow.config.sections.training import TrainingSection
from recflow.config.tasks import NO_TASK
from recflow.data.proposal.looks import Look
from recflow.data.proposal.mapping import Guess, guess_columns, guess_kind
from recflow.data.proposal.sample import Sample
from recflow.errors import BadConfiguration

RELEVANCE, RECOMMEND = "relevance", "recommend"
_ACTS = frozenset({"click", "cart", "purchase"})
_SHOWN = frozenset({"request_id", "user_key", "position"})
# Of a line of data alone: rows of the first kinds must have what a label is made of.
_UNLABELLED = {"judgement": "judged", "impression": "shown"}
# Of a line that recommends by acts on nothing that is known to have been shown: its kinds, and what an act weighs.
_UNSHOWN = {**_UNLABELLED, "click": "visit", "cart": "basket", "purchase": "order"}
_WEIGHTS = {"visit": 1, "basket": 2, "order": 3}
_SPREAD_DAYS = 30
_FIRST_DAY = date(2011, 1, 1)
_MOSTLY = 0.3
_LEAST_ROWS = 50
_ON_ONE_LINE = 4
_HEADING = "# Drafted by `recflow recipe new` from a sample of events: look through what it guessed before it runs.\n"


@dataclass(frozen=True)
class Proposal:
    """A recipe as text, which is sound, what its parts were guessed from, and what nobody could guess."""

    text: str
    task: str
    guesses: tuple[Guess, ...]
    unused: tuple[str, ...]
    open: tuple[str, ...]


@dataclass(frozen=True)
class Told:
    """What a person says of a recipe: no sample has it. `zone` may be empty where times have offsets of their own."""

    name: str
    owner: str
    path: str
    zone: str = ""


def needs_zone(sample: Sample) -> bool:
    """Whether the times have no offset, so that somebody must say whose clocks they are by."""
    looks, guess = sample.looks, guess_columns(sample.looks)["at"]
    return any(look.wall for look in looks if isinstance(guess.rule, dict) and look.name == guess.rule.get("column"))


def propose(sample: Sample, told: Told) -> Proposal:
    """The recipe that reads a sample. Of the sample's values none is in it but the kinds of acts.

    BadConfiguration while nobody has said whose clocks times without an offset are by.
    """
    if needs_zone(sample) and not told.zone:
        raise BadConfiguration(
            "the sample's times have no offset",
            expected="a word about whose clocks they are by",
            seen="none",
            action="say --zone, as Europe/Berlin or UTC",
        )
    looks, guesses = sample.looks, guess_columns(sample.looks)
    kind, kinds = guess_kind(guesses, looks, {})
    task, why, missing = _task(guesses, kinds)
    if task == NO_TASK:
        kind, kinds = guess_kind(guesses, looks, _UNLABELLED)
    elif task == RECOMMEND and not {*_SHOWN, "title"} <= guesses.keys():
        kind, kinds = guess_kind(guesses, looks, _UNSHOWN)
    guesses["kind"] = kind
    guesses = {column: guesses[column] for column in DELIVERY_COLUMNS if column in guesses}
    text = _yaml(_recipe(sample, told, guesses, kinds, task))
    parse_recipe(text, f"{told.name}.yaml")
    used = {name for guess in guesses.values() for name in _sources(guess.rule)}
    unused = tuple(look.name for look in looks if look.name not in used)
    about = [Guess("task", task, why), *_base_model(looks, task)]
    return Proposal(text, task, (*guesses.values(), *about), unused, (*missing, *_open(sample, told, guesses, task)))


def _sources(rule: Any) -> set[str]:
    return {rule} if isinstance(rule, str) else {str(rule[key]) for key in ("column", "times") if key in rule}


def _task(guesses: Mapping[str, Guess], kinds: Sequence[str]) -> tuple[str, str, list[str]]:
    """What could be learnt, why, and what is missing of the task that comes nearest."""
    if {"query", "item_id"} <= guesses.keys():
        missing = [] if "title" in guesses else ["titles (of items; data.source.catalogue may have them)"]
        if "judgement" not in kinds and (lost := sorted(_SHOWN - guesses.keys())):
            missing.append(f"grades, or {', '.join(lost)} of what was shown")
        if not missing:
            return RELEVANCE, "queries, items and titles", []
        return NO_TASK, "queries and items, but not all of it", [f"task: relevance needs {' and '.join(missing)}"]
    if {"user_key", "item_id"} <= guesses.keys() and _ACTS & set(kinds):
        return RECOMMEND, "users who act on items, without queries", []
    return NO_TASK, "neither queries and items, nor users who act on items", []


def _base_model(looks: Sequence[Look], task: str) -> list[Guess]:
    if task != RELEVANCE or _is_chinese(looks):
        return []
    return [Guess("base model", TrainingSection().base_model, "texts are not Chinese; it knows English")]


def _recipe(
    sample: Sample, told: Told, guesses: Mapping[str, Guess], kinds: Sequence[str], task: str
) -> dict[str, Any]:
    source: dict[str, Any] = {"adapter": "tables", "path": told.path}
    source |= {"zone": told.zone} if told.zone else {}
    own_times = {"own_times": True} if not sample.dated and guesses["at"].rule != {"day_start": True} else {}
    columns = {guess.column: guess.rule for guess in guesses.values()}
    table = {
        "files": [sample.pattern],
        **sample.form.options,
        **own_times,
        **_spread(sample, guesses),
        "columns": columns,
    }
    data: dict[str, Any] = {"source": source | {"events": [table]}}
    read = set() if task == NO_TASK else {kind.name for kind in OutcomesSection().kinds} | {*_UNLABELLED}
    data |= {"other_kinds": others} if (others := [kind for kind in kinds if kind not in read]) else {}
    data |= {"cleaning": {"simplify_chinese": True}} if _is_chinese(sample.looks) else {}
    data |= {"checks": checks} if (checks := list(_checks(sample.looks, guesses, task))) else {}
    data |= {"min_rows": 1} if sample.rows < _LEAST_ROWS else {}
    schedule = {"schedule": {"timezone": told.zone}} if told.zone else {}
    weights = {kind: weight for kind, weight in _WEIGHTS.items() if kind in kinds and task == RECOMMEND}
    labels = {"labels": {"weights": weights}} if weights else {}
    return {"name": told.name, "owner": told.owner, "task": task, **schedule, "data": data, **labels}


def _spread(sample: Sample, guesses: Mapping[str, Guess]) -> dict[str, Any]:
    """Rows that neither a file's name nor a time gives a day are dealt to some."""
    if sample.dated or guesses["at"].rule != {"day_start": True}:
        return {}
    column = next(iter(_sources(guesses["event_id"].rule)))
    return {"spread": {"column": column, "days": _SPREAD_DAYS, "first_day": _FIRST_DAY}}


def _checks(looks: Sequence[Look], guesses: Mapping[str, Guess], task: str) -> Iterator[dict[str, Any]]:
    """What the sample always has, days should have: told, not blocking."""
    if "query" in guesses:
        yield {
            "name": "query_has_a_letter_or_digit",
            "expectation": "expect_column_values_to_match_regex",
            "kwargs": {"column": "query", "regex": r"\w"},
        }
    filled = {look.name for look in looks if look.filled == 1}
    built_in = {"event_id", "at", "kind"} | ({"query", "item_id", "title"} if task == RELEVANCE else set())
    for column, guess in guesses.items():
        if column not in built_in and _sources(guess.rule) and _sources(guess.rule) <= filled:
            yield {
                "name": f"{column}_is_there",
                "expectation": "expect_column_values_to_not_be_null",
                "kwargs": {"column": column},
                "severity": "warning",
            }


def _is_chinese(looks: Sequence[Look]) -> bool:
    return any(look.is_text and look.han > _MOSTLY for look in looks)


def _open(sample: Sample, told: Told, guesses: Mapping[str, Guess], task: str) -> Iterator[str]:
    if sample.left_out:
        yield f"files: {len(sample.left_out)} others are left out, {sample.left_out[0]} for one"
    if sample.damaged:
        yield f"files: {sample.damaged:,} of {sample.rows:,} records cannot be told apart into columns"
    if "spread" in _spread(sample, guesses):
        yield f"at: rows have no day; they are dealt to {_SPREAD_DAYS} days from {_FIRST_DAY} by a hash"
    if any(look.ambiguous for look in sample.looks):
        yield "at: day and month may be the other way round: no value of the sample tells"
    if not told.zone:
        yield "schedule.timezone: UTC, while nobody says where a day of the shop begins"
    if not sample.dated:
        yield "data.source.events.files: a file without a date in its name is read whole for every day"
    if task == RELEVANCE and _is_chinese(sample.looks):
        yield "training.base_model: texts are Chinese, and the base model that is installed knows English: name another"
    yield "schedule.first_day: the first day that is there, for a backfill"


def _yaml(recipe: Mapping[str, Any]) -> str:
    writer, stream = YAML(), StringIO(_HEADING)
    writer.width = 110
    stream.seek(0, SEEK_END)
    writer.dump(_laid_out(recipe), stream)
    return stream.getvalue()


def _laid_out(node: Any) -> Any:
    """Lists of plain values, and small maps of such lists and plain values, on one line each."""
    if isinstance(node, Mapping):
        laid = CommentedMap({key: _laid_out(value) for key, value in node.items()})
        if len(laid) <= _ON_ONE_LINE and not any(map(_is_block, laid.values())):
            laid.fa.set_flow_style()
        return laid
    if isinstance(node, Sequence) and not isinstance(node, str):
        listed = CommentedSeq([_laid_out(value) for value in node])
        if not any(isinstance(value, CommentedMap) for value in listed):
            listed.fa.set_flow_style()
        return listed
    return node


def _is_block(node: Any) -> bool:
    return isinstance(node, CommentedMap) or (isinstance(node, CommentedSeq) and not node.fa.flow_style())
