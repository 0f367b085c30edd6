"""The checks of a day: the built-in ones and the recipe's. What is expected, of which rows, and how bad a miss is."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from recflow.artifacts.manifests import Interval
from recflow.config.recipe import Recipe
from recflow.config.sections.data import CheckRule
from recflow.config.sections.outcomes import OutcomeKind
from recflow.data.rows import CARRIED, COLUMNS, DAMAGE, PLACE
from recflow.domain.matching import SKEW
from recflow.domain.outliers import largest_usual
from recflow.engine import Engine, Table, Value
from recflow.engine.expressions import distance, log_size, minute, quantile, real, seconds_after, when

_DAMAGE = "\N{REPLACEMENT CHARACTER}"
_OUTLIER_FACTOR = 10
_MAX_QUERY_CHARACTERS = 512
_MAX_POSITION = 100_000  # above it are the marks that some shops write for "none"

MAX_VALUE = 1e12  # the largest bound a recipe may set; a partition's float32 would make 1e308 infinite

# What no partition can hold: a row that breaks one of these is never released from quarantine.
NEVER_RELEASED = (
    "record_whole",
    *(f"{name}_present" for name in ("event_id", "kind", "query", "item_id", "request_id", "user_key")),
    "item_known",
    "kind_known",
    *(f"{name}_is_a_number" for name in ("value", "grade", "position")),
    "at_is_a_time",
    "grade_0_to_3",
    "position_from_1",
    "value_within_reach",
)

_JUDGED = ("judgement",)
_SHOWN = ("impression",)


@dataclass(frozen=True)
class Check:
    """One expectation on the rows of `kinds` (all when empty). Blocking rows are quarantined, warning rows counted."""

    name: str
    expectation: str
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    severity: Literal["blocking", "warning"] = "blocking"
    kinds: tuple[str, ...] = ()


@dataclass(frozen=True)
class DayFacts:
    """What the checks of a day depend on: its kinds with their rows, and above which value of a kind few are right."""

    kinds: Mapping[str | None, int]
    usual_values: Mapping[str, float]


def day_facts(engine: Engine, rows: Table, recipe: Recipe) -> DayFacts:
    """The facts of a day's typed rows."""
    counted = engine.fetch(rows.group_by("kind").aggregate(rows=rows.count())).to_pydict()
    largest = {kind.name: kind.max_value for kind in recipe.acts if kind.max_value}
    largest |= dict.fromkeys(recipe.data.other_kinds, MAX_VALUE)
    possible = {
        name: when((rows.kind == name) & (rows.value > 0) & (rows.value <= limit), rows.value)
        for name, limit in largest.items()
    }
    mads = recipe.data.cleaning.outlier_mads
    usual = _tenfold(engine, rows, possible) if mads is None else _by_deviation(engine, rows, possible, mads)
    return DayFacts(dict(zip(counted["kind"], counted["rows"], strict=True)), usual)


def _tenfold(engine: Engine, rows: Table, values: Mapping[str, Value]) -> dict[str, float]:
    """Ten times what 95 of 100 values do not exceed."""
    found = _aggregated(engine, rows, {name: quantile(value, 0.95) for name, value in values.items()})
    return {name: value * _OUTLIER_FACTOR for name, value in found.items()}


def _by_deviation(engine: Engine, rows: Table, values: Mapping[str, Value], mads: float) -> dict[str, float]:
    """By median and median absolute deviation of the logarithms (`domain/outliers.py`)."""
    sizes = {name: log_size(value) for name, value in values.items()}
    middles = _aggregated(engine, rows, {name: quantile(size, 0.5) for name, size in sizes.items()})
    reaches = {name: quantile(distance(sizes[name], middle), 0.5) for name, middle in middles.items()}
    deviations = _aggregated(engine, rows, reaches)
    return {name: largest_usual(middles[name], deviation, mads) for name, deviation in deviations.items()}


def _aggregated(engine: Engine, rows: Table, values: Mapping[str, Value]) -> dict[str, float]:
    found = engine.fetch(rows.aggregate(rows=rows.count(), **values)).to_pylist()[0]
    return {name: found[name] for name in values if found[name] is not None}


def built_in_checks(facts: DayFacts, interval: Interval, recipe: Recipe) -> list[Check]:
    """The checks every source must pass, of the kinds of rows that the day has."""
    outcomes = tuple(kind.name for kind in recipe.acts)
    behaviour, others = (*_SHOWN, *outcomes), recipe.data.other_kinds
    labelled = (*_JUDGED, *behaviour)
    day_s = (interval.end - interval.start).total_seconds()
    skew_s, late_s = SKEW.total_seconds(), 60 * recipe.labels.attribution_minutes
    checks = [
        # A damage reads `why: line`. A plain sign is found by the engine, a pattern by Python, row by row.
        Check("record_whole", "expect_column_values_to_not_match_regex", {"column": DAMAGE, "regex": ":"}),
        *(_present(name, name) for name in ("event_id", "kind")),
        *(_present(name, name, labelled) for name in recipe.labels.needed),
        _present("item_known", "title", labelled),
        _present("at_is_a_time", "at"),
        _present("value_is_a_number", "value"),
        _present("grade_is_a_number", "grade", _JUDGED),
        _present("position_is_a_number", "position", behaviour),
        _present("request_id", "request_id", behaviour),
        _present("user_key", "user_key", behaviour),
        Check("kind_known", "expect_column_values_to_be_in_set", {"column": "kind", "value_set": [*labelled, *others]}),
        _between("grade_0_to_3", "grade", 0, 3, _JUDGED),
        _between("position_from_1", "position", 1, _MAX_POSITION, behaviour),
        _between("value_not_negative", "value", 0, None),
        _between("at_inside_interval", "seconds_into_interval", 0, day_s, (*_JUDGED, *_SHOWN, *others)),
        _between("outcome_at_inside_interval", "seconds_into_interval", -skew_s, day_s + late_s, outcomes),
        _between(
            "requests_a_minute_of_a_person", "requests_a_minute", None, recipe.data.max_requests_per_minute, behaviour
        ),
        Check(
            "outcome_was_shown",
            "expect_column_values_to_be_in_set",
            {"column": "shown", "value_set": [True]},
            kinds=outcomes,
        ),
        _undamaged("query"),
        _undamaged("title"),
        _undamaged("description", "warning"),
        _present("description", "description", labelled, severity="warning"),
        Check("event_id_unique", "expect_column_values_to_be_unique", {"column": "event_id"}, "warning"),
        Check(
            "query_length",
            "expect_column_value_lengths_to_be_between",
            {"column": "query", "max_value": _MAX_QUERY_CHARACTERS},
            "warning",
        ),
        *_value_checks(facts, recipe.acts, others),
    ]
    return [check for check in checks if not check.kinds or facts.kinds.keys() & set(check.kinds)]


def recipe_checks(rules: tuple[CheckRule, ...]) -> list[Check]:
    """The recipe's own checks, on all rows."""
    return [Check(rule.name, rule.expectation, rule.kwargs, rule.severity) for rule in rules]


def with_evidence(engine: Engine, rows: Table, interval: Interval, recipe: Recipe) -> Table:
    """The rows with what checks need beside the columns: time in the interval, shown or not, rates.

    An act soon after midnight on a search that is not of this day may be on one of the day before, and counts as shown.
    `requests_a_minute` is null where too few rows of a user fall into a minute to break the limit.
    """
    outcomes = [kind.name for kind in recipe.acts]
    acts = rows.filter(rows.kind.isin(outcomes))
    answered = acts.semi_join(rows.filter(rows.kind == "impression"), ["request_id", "item_id"])
    early = seconds_after(interval.start, acts["at"]) <= 60 * recipe.labels.attribution_minutes
    yesterdays = acts.filter(early).anti_join(rows.filter(rows.kind == "impression"), ["request_id", "user_key"])
    unshown = acts.anti_join(answered, PLACE).anti_join(yesterdays, PLACE)
    unshown = engine.keep(unshown.select(*PLACE, unshown=True))
    timed = rows.mutate(minute=minute(rows["at"]))
    busy = timed.group_by(["user_key", "minute"]).aggregate(rows=lambda same: same.count())
    crowded = timed.semi_join(busy.filter(busy.rows > recipe.data.max_requests_per_minute), ["user_key", "minute"])
    rates = crowded.group_by(["user_key", "minute"]).aggregate(requests_a_minute=real(crowded.request_id.nunique()))
    rates = engine.keep(rates)
    known = timed.left_join(unshown, PLACE).left_join(rates, ["user_key", "minute"])
    return known.select(
        *PLACE,
        *COLUMNS,
        DAMAGE,
        *CARRIED,
        seconds_into_interval=seconds_after(interval.start, known["at"]),
        shown=known.unshown.isnull(),
        requests_a_minute=known.requests_a_minute,
    )


def _present(
    name: str, column: str, kinds: tuple[str, ...] = (), severity: Literal["blocking", "warning"] = "blocking"
) -> Check:
    title = name if "_is_" in name or name.endswith("_known") else f"{name}_present"
    return Check(title, "expect_column_values_to_not_be_null", {"column": column}, severity, kinds)


def _between(
    name: str,
    column: str,
    low: float | None,
    high: float | None,
    kinds: tuple[str, ...] = (),
    severity: Literal["blocking", "warning"] = "blocking",
) -> Check:
    bounds = {key: value for key, value in (("min_value", low), ("max_value", high)) if value is not None}
    return Check(name, "expect_column_values_to_be_between", {"column": column, **bounds}, severity, kinds)


def _undamaged(column: str, severity: Literal["blocking", "warning"] = "blocking") -> Check:
    kwargs = {"column": column, "regex": _DAMAGE}
    return Check(f"{column}_undamaged", "expect_column_values_to_not_match_regex", kwargs, severity)


def _value_checks(facts: DayFacts, kinds: Sequence[OutcomeKind], others: Sequence[str]) -> Iterator[Check]:
    """Bounds on what an act is worth. A value where none belongs is told and kept: nothing is made of it."""
    for kind in (kind for kind in kinds if kind.max_value):
        name = kind.name
        yield _between(f"{name}_value_at_most", "value", None, kind.max_value, (name,))
    for name, usual in facts.usual_values.items():
        yield _between(f"{name}_value_typical", "value", None, min(usual, MAX_VALUE), (name,), "warning")
    without = (*_JUDGED, *_SHOWN, *(kind.name for kind in kinds if not kind.max_value))
    yield _between("value_within_reach", "value", None, MAX_VALUE, (*without, *others))
    yield _between("value_where_one_belongs", "value", None, 0, without, "warning")
