"""Cleaning: from rows as delivered to typed rows, with what was mended and what could not be read.

Mended: free texts, by the recipe's rules (`domain/free_text.py`): markup, width, control characters, spaces, personal
data; rows told again are dropped: those that agree with another in the recipe's `data.identity`; damaged rows have
nothing to agree in. Not mended, and left
null for the checks to find: values that are not of their column's type. Missing stays missing, except revenue (0) and
the position of a judgement.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from recflow.artifacts.cleaning import RuleReport
from recflow.config.sections.cleaning import CleaningSection
from recflow.config.sections.data import DataSection
from recflow.data.rows import CARRIED, COLUMNS, DAMAGE, FREE, IDS, NUMBERS, OF_PEOPLE, PLACE
from recflow.domain.free_text import MASK, NORMALISE, TextRule, report, rules_for_catalogue, rules_for_people
from recflow.engine import Engine, Table
from recflow.engine.expressions import (
    cleaned,
    computed_once,
    near_duplicate,
    number,
    repeats,
    stripped,
    time,
    when,
    whole,
)
from recflow.errors import BadData

# A column in which most values cannot be read is another column; a few such values are bad rows.
_MAX_UNREADABLE_SHARE = 0.5
_LOOKED_AT = 10  # texts of a column among which examples are looked for
_TYPED = {**dict.fromkeys(NUMBERS, "numbers"), "at": "ISO 8601 times"}


@dataclass(frozen=True)
class Cleaned:
    """Typed rows, each with the place it was delivered at, counts of what was merged and mended, and by which rule.

    `at` is in UTC without saying so, numbers are float64.
    """

    rows: Table
    rows_in: int
    duplicates: int
    mended: Mapping[str, int]
    rules: tuple[RuleReport, ...]


def clean(engine: Engine, delivered: Table, label: str, section: DataSection) -> Cleaned:
    """Typed, de-duplicated rows of the day `label`.

    Raises BadData for an empty day, a missing column, a column of another type and too many duplicates.
    """
    rows_in = engine.count(delivered)
    _refuse_empty(delivered, rows_in, label)
    whole_rows = delivered.filter(delivered.damage.isnull())
    again = engine.keep(_told_again(whole_rows, section))
    duplicates = engine.count(again)
    _refuse_replay(duplicates, rows_in, label, section.max_duplicate_share)
    typed = engine.keep(_typed(delivered.anti_join(again, PLACE), section.cleaning))
    counts = _counts(engine, typed)
    for name, expected in _TYPED.items():
        _refuse_other_type(engine, delivered, typed, name, label, expected, counts)
    mended = {name: counts[f"mended_{name}"] for name in FREE}
    rules = (_normalised(engine, delivered, typed, mended), _masked(engine, typed, counts))
    return Cleaned(typed.select(*PLACE, *COLUMNS, DAMAGE, *CARRIED), rows_in, duplicates, mended, rules)


def _told_again(rows: Table, section: DataSection) -> Table:
    """The places of rows that agree with one before them; where the recipe says so, near duplicates agree."""
    identity = section.identity or COLUMNS
    if section.cleaning.near_duplicates:
        texts = [name for name in identity if name in FREE]
        rows = rows.mutate(**{name: near_duplicate(rows[name]).fill_null(rows[name]) for name in texts})
    return repeats(rows, identity, PLACE)


def _normalised(engine: Engine, delivered: Table, typed: Table, mended: Mapping[str, int]) -> RuleReport:
    """What became of texts, with examples of before and after in which nobody is told of."""
    pairs: list[tuple[str, str]] = []
    for name in (name for name in FREE if mended[name]):
        after = typed.filter(typed[f"mended_{name}"] & typed[name].notnull()).order_by(list(PLACE)).limit(_LOOKED_AT)
        both = delivered.select(*PLACE, before=delivered[name]).inner_join(
            after.select(*PLACE, after=after[name]), PLACE
        )
        found = engine.fetch(both.order_by(list(PLACE)).select("before", "after"))
        pairs += zip(found["before"].to_pylist(), found["after"].to_pylist(), strict=True)
    return report(NORMALISE.name, sum(mended.values()), pairs)


def _masked(engine: Engine, typed: Table, counts: Mapping[str, int]) -> RuleReport:
    """How many texts personal data was masked in, with examples of what is left."""
    texts: list[str] = []
    for name in (name for name in FREE if counts.get(f"masked_{name}")):
        masked = typed.filter(typed[f"masked_{name}"]).order_by(list(PLACE)).limit(_LOOKED_AT)
        texts += engine.fetch(masked.select(name))[name].to_pylist()
    changed = sum(counts.get(f"masked_{name}", 0) for name in FREE)
    return report(MASK.name, changed, ((text, text) for text in texts))


def _refuse_empty(delivered: Table, rows: int, label: str) -> None:
    if rows == 0:
        raise BadData(f"{label} is empty", expected="events", seen="0 rows")
    missing = [name for name in COLUMNS if name not in delivered.columns]
    if missing:
        raise BadData(
            f"{label} lacks {_columns(missing)}", expected=", ".join(COLUMNS), seen=f"no {', '.join(missing)}"
        )


def _columns(names: list[str]) -> str:
    return f"the column {names[0]}" if len(names) == 1 else f"{len(names)} columns"


def _refuse_replay(duplicates: int, rows: int, label: str, max_share: float) -> None:
    if duplicates > max_share * rows:
        raise BadData(
            f"{label} repeats {duplicates} of {rows} rows",
            expected=f"at most {max_share:.0%} exact duplicates",
            seen=f"{duplicates / rows:.0%}",
            action="look for a feed that was replayed or joined twice, mend it, then clear the task",
        )


def _rules(cleaning: CleaningSection) -> dict[str, tuple[TextRule, ...]]:
    people, catalogue = rules_for_people(cleaning), rules_for_catalogue(cleaning)
    return {name: people if name in OF_PEOPLE else catalogue for name in FREE}


def _typed(delivered: Table, cleaning: CleaningSection) -> Table:
    """Typed columns, and beside them which values were given, which could not be read, and which texts were mended."""
    rules = _rules(cleaning)
    made = {name: cleaned(delivered[name], rules[name]) for name in FREE}
    made |= {name: stripped(delivered[name]) for name in IDS}
    made |= {name: number(delivered[name]) for name in NUMBERS} | {"at": time(delivered["at"])}
    same = {f"same_{name}": delivered[name].identical_to(made[name]) for name in FREE}
    given = {f"given_{name}": delivered[name].notnull() for name in (*FREE, *_TYPED)}
    others = [name for name in CARRIED if name not in FREE]
    masks = [name for name in FREE if MASK in rules[name]]
    plain = {f"plain_{name}": cleaned(delivered[name], [r for r in rules[name] if r != MASK]) for name in masks}
    typed = computed_once(delivered.select(*PLACE, DAMAGE, *others, **made, **same, **given, **plain))
    facts = {f"mended_{name}": typed[f"given_{name}"] & ~typed[f"same_{name}"] for name in FREE}
    facts |= {f"masked_{name}": ~typed[name].identical_to(typed[f"plain_{name}"]) for name in masks}
    facts |= {f"given_{name}": typed[f"given_{name}"] for name in _TYPED}
    facts |= {f"unreadable_{name}": typed[f"given_{name}"] & typed[name].isnull() for name in _TYPED}
    judged = (typed.kind == "judgement") & ~typed.given_position
    filled = {
        "position": when(judged, 0.0, whole(typed.position)),
        "value": when(typed.given_value, typed.value, 0.0),
    }
    columns = {name: filled.get(name, typed[name]) for name in COLUMNS}
    return typed.select(*PLACE, DAMAGE, *CARRIED, **columns, **facts)


def _counts(engine: Engine, typed: Table) -> dict[str, int]:
    facts = [name for name in typed.columns if name not in (*PLACE, *COLUMNS, DAMAGE, *CARRIED)]
    sums = typed.aggregate(**{name: when(typed[name], 1, 0).sum() for name in facts})
    return {name: int(count) for name, count in engine.fetch(sums).to_pylist()[0].items()}


def _refuse_other_type(
    engine: Engine, delivered: Table, typed: Table, name: str, label: str, expected: str, counts: Mapping[str, int]
) -> None:
    given, unreadable = counts[f"given_{name}"], counts[f"unreadable_{name}"]
    if given and unreadable / given > _MAX_UNREADABLE_SHARE:
        raise BadData(
            f"the column {name} of {label} is of another type",
            expected=expected,
            seen=f"{unreadable} of {given} values such as {str(_example(engine, delivered, typed, name))[:40]!r}",
        )


def _example(engine: Engine, delivered: Table, typed: Table, name: str) -> Any:
    unreadable = delivered.semi_join(typed.filter(typed[f"unreadable_{name}"]), PLACE)
    first = unreadable.order_by(list(PLACE)).limit(1)
    return engine.fetch(first.select(name))[name][0].as_py()
