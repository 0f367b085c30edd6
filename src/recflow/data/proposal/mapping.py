"""Our columns made of a sample's: by their names where the values look right, and else by how the values look."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from recflow.data.proposal.looks import Look
from recflow.data.proposal.names import COLUMN_NAMES, QUANTITY, act_of, ascii_name, called, plain
from recflow.domain.masking import find

_SHORT_TEXT = 120  # characters, on average
_LONGEST_KIND = 40
_ID_LENGTH = 80


def _names_acts(look: Look) -> bool:
    """Whether the values are acts, which a recipe may name: few, short, and nothing that tells of a person."""
    if look.is_number or any(len(value) > _LONGEST_KIND or find(value) for value in look.kinds):
        return False
    return bool(look.kinds) and (plain(look.name) != "type" or any(map(act_of, look.kinds)))


def _has_values(look: Look) -> bool:
    return look.filled > 0


# What values must look like for a name to be believed.
_FITS: Mapping[str, Callable[[Look], bool]] = {
    "event_id": lambda look: look.is_id and look.filled == 1,
    "at": lambda look: bool(look.times),
    "kind": _names_acts,
    "request_id": lambda look: look.is_id,
    "user_key": lambda look: look.is_id,
    "query": lambda look: look.is_text,
    "item_id": lambda look: look.is_id and look.mean_length < _ID_LENGTH,
    "title": lambda look: look.is_text,
    "description": lambda look: look.is_text,
    "position": lambda look: look.is_whole and look.within[0] >= 0,
    "grade": lambda look: look.is_number and look.within[0] >= 0 and look.within[1] - look.within[0] >= 1,
    "value": lambda look: look.is_number,
    "price": lambda look: look.is_number,
    "text": lambda look: look.is_text,
}


@dataclass(frozen=True)
class Guess:
    """One of our columns: the rule of a recipe that makes it, and from what it was guessed."""

    column: str
    rule: Any
    why: str


def guess_columns(looks: Sequence[Look]) -> dict[str, Guess]:
    """Our columns, by name, that the sample's columns can make; those that every row needs are always there."""
    taken: dict[str, Look] = {}
    for column in COLUMN_NAMES:
        free = [look for look in looks if look not in taken.values()]
        if found := _best(column, free):
            taken[column] = found
    _short_description_is_a_title(taken)
    guesses = {column: _by_name(column, look) for column, look in taken.items()}
    rest = [look for look in looks if look not in taken.values()]
    for guess in (_time(looks, guesses), _event_id(rest, guesses, taken), _item_of_title(guesses, taken)):
        if guess:
            guesses[guess.column] = guess
    if "value" not in guesses and (guess := _turnover(rest, taken)):
        guesses["value"] = guess
    return guesses


def _best(column: str, looks: Sequence[Look]) -> Look | None:
    fits = _FITS.get(column, _has_values)
    named = [(place, look) for look in looks if (place := called(look.name, COLUMN_NAMES[column])) is not None]
    fullest = sorted(named, key=lambda one: (-round(one[1].filled, 1), one[0]))
    return next((look for _, look in fullest if fits(look)), None)


def _short_description_is_a_title(taken: dict[str, Look]) -> None:
    found = taken.get("description")
    if found and "title" not in taken and found.mean_length < _SHORT_TEXT:
        taken["title"] = taken.pop("description")


def _by_name(column: str, look: Look) -> Guess:
    rule: dict[str, Any] = {"column": look.name}
    why = "its name"
    if column == "at":
        rule["time"], why = list(look.times), f"its name, and values read as {' or '.join(look.times)}"
    if column == "position" and look.within[0] == 0:
        rule["offset"], why = 1, "its name; it counts from 0"
    if look.decimal_comma and column in {"value", "price", "grade", "position"}:
        rule["decimal"], why = ",", f"{why}; written with a decimal comma"
    if column == "grade" and (look.within[0] >= 1 or look.within[1] > 3):
        rule |= _to_three(look)
        why = f"its name; its scale is brought to 0 … 3 (look at it: {look.within[0]:g} is taken for the worst)"
    return Guess(column, rule if len(rule) > 1 else look.name, why)


def _to_three(look: Look) -> dict[str, float]:
    low, high = look.within
    scale = round(3 / (high - low), 6)
    offset = round(-low * scale, 6)
    return ({"scale": scale} if scale != 1 else {}) | ({"offset": offset} if offset else {})


def _time(looks: Sequence[Look], guesses: Mapping[str, Guess]) -> Guess | None:
    if "at" in guesses:
        return None
    if found := next((look for look in looks if look.times and not look.is_number), None):
        return Guess("at", {"column": found.name, "time": list(found.times)}, "the only column whose values are times")
    return Guess("at", {"day_start": True}, "no column has times: rows get the first moment of their day")


def _event_id(rest: Sequence[Look], guesses: Mapping[str, Guess], taken: Mapping[str, Look]) -> Guess | None:
    if "event_id" in guesses:
        return None
    alone = next((look for look in rest if look.is_id and look.distinct == 1 and look.filled == 1), None)
    if alone:
        return Guess("event_id", alone.name, "no two rows have the same value")
    looks = [*taken.values(), *rest]
    most = max((look for look in looks if look.filled > 0), key=lambda look: look.filled * look.distinct)
    return Guess(
        "event_id",
        {"column": most.name, "id_of_text": True},
        f"no column names each row: a hash of the one that comes nearest, {most.filled * most.distinct:.0%}",
    )


def _item_of_title(guesses: Mapping[str, Guess], taken: Mapping[str, Look]) -> Guess | None:
    if "item_id" in guesses or "title" not in taken:
        return None
    return Guess(
        "item_id", {"column": taken["title"].name, "id_of_text": True}, "no column names an item: its title does"
    )


def _turnover(rest: Sequence[Look], taken: Mapping[str, Look]) -> Guess | None:
    """What was paid: the price, times the quantity."""
    quantity, price = quantity_of(rest), taken.get("price")
    if quantity is None or price is None:
        return None
    rule: dict[str, Any] = {"column": price.name, "times": quantity.name}
    rule |= {"absolute": True} if quantity.some_negative else {}
    return Guess(
        "value", rule | ({"decimal": ","} if price.decimal_comma else {}), f"{price.name} times {quantity.name}"
    )


def quantity_of(looks: Sequence[Look]) -> Look | None:
    """The column that says how many pieces."""
    return next((look for look in looks if called(look.name, QUANTITY) is not None and look.is_number), None)


def guess_kind(
    guesses: Mapping[str, Guess], looks: Sequence[Look], called_here: Mapping[str, str]
) -> tuple[Guess, tuple[str, ...]]:
    """How `kind` is made, and which kinds there are then; `called_here` are other names for some of them."""
    if "kind" in guesses:
        look = next(look for look in looks if look.name == str(guesses["kind"].rule))
        acts = {value: act_of(value) or ascii_name(value) for value in look.kinds}
        acts = {value: called_here.get(act, act) for value, act in acts.items()}
        others = {value: act for value, act in acts.items() if act != value}
        rule = {"column": look.name, "map": others} if others else look.name
        return Guess("kind", rule, "its name"), tuple(dict.fromkeys(acts.values()))
    quantity = quantity_of(looks)
    if quantity and quantity.some_negative:
        match = {"-.+": "return", ".+": "purchase"}
        told = f"no column names acts: a row sells {quantity.name} pieces, or takes them back where it is below 0"
        return Guess("kind", {"column": quantity.name, "match": match}, told), ("purchase", "return")
    kind, why = next(_constant_kinds(guesses, quantity))
    kind = called_here.get(kind, kind)
    return Guess("kind", {"constant": kind}, f"no column names acts: {why}"), (kind,)


def _constant_kinds(guesses: Mapping[str, Guess], quantity: Look | None) -> Iterator[tuple[str, str]]:
    if {"query", "grade"} <= guesses.keys():
        yield "judgement", "rows have a query and a grade"
    if {"query", "position"} <= guesses.keys():
        yield "impression", "rows have a query and a position"
    if quantity:
        yield "purchase", f"rows have a quantity, {quantity.name}"
    if "text" in guesses:
        yield "review", "rows have a text"
    yield "event", "nothing says what happened"
