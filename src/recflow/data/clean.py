"""Cleaning: from rows as delivered to typed rows, with what was mended and what could not be read.

Mended: free texts, by the recipe's rules (`domain/free_text.py`): markup, width, control characters, spaces, personal
data; rows told again are dropped: those that agree with another in the recipe's `data.identity`; damaged rows have
nothing to agree in. Not mended, and left null for the checks to find: values that are not of their column's type.
Missing stays missing, except revenue (0) and the position of a judgement.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from recflow.artifacts.cleaning import RuleReport
from recflow.config.sections.cleaning import CleaningSection
from recflow.config.sections.data import DataSection
from recflow.data.refusals import Refusal
from recflow.data.rows import CARRIED, COLUMNS, DAMAGE, FREE, IDS, NUMBERS, OF_PEOPLE, PLACE
from recflow.domain.free_text import MASK, TextRule, report, rules_for_catalogue, rules_for_people
from recflow.engine import Engine, Table, Value
from recflow.engine.expressions import (
    any_of,
    cleaned,
    computed_once,
    near_duplicate,
    number,
    repeats,
    stripped,
    time,
    told_of_nobody,
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

    `at` is in UTC without saying so, numbers are float64. `refusals` are what speaks against the day as a whole.
    """

    rows: Table
    rows_in: int
    duplicates: int
    mended: Mapping[str, int]
    rules: tuple[RuleReport, ...]
    refusals: tuple[Refusal, ...]


def clean(engine: Engine, delivered: Table, label: str, section: DataSection) -> Cleaned:
    """Typed, de-duplicated rows of the day `label`.

    Raises BadData for an empty day and a missing column: then nothing can be told of its rows.
    """
    rows_in = engine.count(delivered)
    _refuse_empty(delivered, rows_in, label)
    whole_rows = delivered.filter(delivered.damage.isnull())
    again = engine.keep(_told_again(whole_rows, section))
    duplicates = engine.count(again)
    typed = engine.keep(_typed(delivered.anti_join(again, PLACE), section.cleaning))
    counts = _counts(engine, typed)
    refusals = [_replayed(duplicates, rows_in, label, section.max_duplicate_share)]
    refusals += [_other_type(engine, delivered, typed, name, label, counts) for name in _TYPED]
    mended = {name: counts[f"mended_{name}"] for name in FREE}
    names = dict.fromkeys(rule.name for rules in _rules(section.cleaning).values() for rule in rules)
    rules = tuple(_rule_report(engine, delivered, typed, name, counts) for name in names)
    found = tuple(refusal for refusal in refusals if refusal)
    return Cleaned(typed.select(*PLACE, *COLUMNS, DAMAGE, *CARRIED), rows_in, duplicates, mended, rules, found)


def as_kept(delivered: Table, cleaning: CleaningSection) -> Table:
    """Rows as they were delivered, with personal data masked in the texts and lines in which the recipe masks it."""
    texts = [name for name, rules in _rules(cleaning).items() if MASK in rules]
    return delivered.mutate(**{name: told_of_nobody(delivered[name]) for name in texts}, **_damage(delivered, cleaning))


def _damage(delivered: Table, cleaning: CleaningSection) -> dict[str, Value]:
    """The lines of damaged records, which people may have typed into."""
    return {DAMAGE: told_of_nobody(delivered[DAMAGE]) if cleaning.mask else delivered[DAMAGE]}


def _told_again(rows: Table, section: DataSection) -> Table:
    """The places of rows that agree with one before them; where the recipe says so, near duplicates agree."""
    identity = section.identity or COLUMNS
    if section.cleaning.near_duplicates:
        texts = [name for name in identity if name in FREE]
        rows = rows.mutate(**{name: near_duplicate(rows[name]).fill_null(rows[name]) for name in texts})
    return repeats(rows, identity, PLACE)


def _rule_report(engine: Engine, delivered: Table, typed: Table, rule: str, counts: Mapping[str, int]) -> RuleReport:
    """How many texts a rule changed, with examples of before and after in which nobody is told of."""
    changed = {name: counts.get(f"{rule}_changed_{name}", 0) for name in FREE}
    pairs: list[tuple[str, str]] = []
    for name in (name for name in FREE if changed[name]):
        after = typed.filter(typed[f"{rule}_changed_{name}"] & typed[name].notnull())
        first = after.order_by(list(PLACE)).limit(_LOOKED_AT)
        both = delivered.select(*PLACE, before=delivered[name]).inner_join(
            first.select(*PLACE, after=first[name]), PLACE
        )
        found = engine.fetch(both.order_by(list(PLACE)).select("before", "after"))
        pairs += zip(found["before"].to_pylist(), found["after"].to_pylist(), strict=True)
    return report(rule, sum(changed.values()), pairs)


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


def _replayed(duplicates: int, rows: int, label: str, max_share: float) -> Refusal | None:
    if duplicates <= max_share * rows:
        return None
    error = BadData(
        f"{label} repeats {duplicates} of {rows} rows",
        expected=f"at most {max_share:.0%} exact duplicates",
        seen=f"{duplicates / rows:.0%}",
        action="look for a feed that was replayed or joined twice, mend it, then clear the task",
    )
    return Refusal("duplicates", error)


def _rules(cleaning: CleaningSection) -> dict[str, tuple[TextRule, ...]]:
    people, catalogue = rules_for_people(cleaning), rules_for_catalogue(cleaning)
    return {name: people if name in OF_PEOPLE else catalogue for name in FREE}


def _after_each(given: Value, name: str, rules: Sequence[TextRule]) -> dict[str, Value]:
    """A text after the first rule, after the first two …; after all of them it has the column's own name."""
    columns = [*(f"{name}_after_{rule.name}" for rule in rules[:-1]), name]
    return {column: cleaned(given, rules[: number + 1]) for number, column in enumerate(columns)}


def _changes(typed: Table, name: str, rules: Sequence[TextRule], columns: Sequence[str]) -> dict[str, Value]:
    """By which rule a text was changed; `columns` hold what it was after each of them."""
    first = typed[f"given_{name}"] & ~typed[f"same_{name}"]
    later = [~typed[after].identical_to(typed[before]) for before, after in pairwise(columns)]
    return {f"{rule.name}_changed_{name}": by for rule, by in zip(rules, [first, *later], strict=True)}


def _typed(delivered: Table, cleaning: CleaningSection) -> Table:
    """Typed columns, and beside them which values were given, which could not be read, and what changed which text."""
    rules = _rules(cleaning)
    texts = {name: _after_each(delivered[name], name, rules[name]) for name in FREE}
    made = {column: text for after in texts.values() for column, text in after.items()}
    made |= {name: stripped(delivered[name]) for name in IDS}
    made |= {name: number(delivered[name]) for name in NUMBERS} | {"at": time(delivered["at"])}
    same = {f"same_{name}": delivered[name].identical_to(made[next(iter(texts[name]))]) for name in FREE}
    given = {f"given_{name}": delivered[name].notnull() for name in (*FREE, *_TYPED)}
    others = [name for name in CARRIED if name not in FREE]
    damage = _damage(delivered, cleaning)
    typed = computed_once(delivered.select(*PLACE, *others, **damage, **made, **same, **given))
    facts: dict[str, Value] = {}
    for name in FREE:
        changes = _changes(typed, name, rules[name], list(texts[name]))
        facts |= changes | {f"mended_{name}": any_of(list(changes.values()))}
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


def _other_type(
    engine: Engine, delivered: Table, typed: Table, name: str, label: str, counts: Mapping[str, int]
) -> Refusal | None:
    given, unreadable = counts[f"given_{name}"], counts[f"unreadable_{name}"]
    if not given or unreadable / given <= _MAX_UNREADABLE_SHARE:
        return None
    error = BadData(
        f"the column {name} of {label} is of another type",
        expected=_TYPED[name],
        seen=f"{unreadable} of {given} values such as {str(_example(engine, delivered, typed, name))[:40]!r}",
    )
    return Refusal(f"{name}_of_another_type", error, acceptable=False)


def _example(engine: Engine, delivered: Table, typed: Table, name: str) -> Any:
    unreadable = delivered.semi_join(typed.filter(typed[f"unreadable_{name}"]), PLACE)
    first = unreadable.order_by(list(PLACE)).limit(1)
    return engine.fetch(first.select(example=told_of_nobody(first[name])))["example"][0].as_py()
