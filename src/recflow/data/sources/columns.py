"""The column mapping of a recipe, on batches: what our columns are made of."""

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc

from recflow.artifacts.digests import digest_bytes
from recflow.artifacts.manifests import Interval
from recflow.config.sections.sources import UNITS, ColumnRule
from recflow.data.sources.batches import Batch, texts
from recflow.domain.text import normalise
from recflow.errors import BadData

_WALL_TIME = r"^\s*\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d([.,]\d+)?)?)?\s*$"


def make_column(rule: ColumnRule, batch: Batch, interval: Interval, zone: str) -> pa.Array:
    """One of our columns, as text."""
    if not rule.column:
        value = interval.start.isoformat() if rule.day_start else rule.constant
        return pc.if_else(pc.is_null(batch.damage), value, pa.scalar(None, pa.string()))
    values = batch.column(rule.column)
    if rule.times:
        values = _products(rule, values, batch.column(rule.times))
    change = _change_of(rule, zone)
    return values if change is None else _each_once(values, change)


def refuse_wall_times(times: pa.Array, batch: Batch, name: str) -> None:
    """BadData when a time has no offset: which moment it means nobody has said."""
    found = pc.index(pc.fill_null(pc.match_substring_regex(times, _WALL_TIME), fill_value=False), value=True).as_py()
    if found >= 0:
        raise BadData(
            f"{name} has times without an offset",
            expected="an offset such as +01:00 or Z in each",
            seen=f"{times[found].as_py()!r} in row {batch.rows[found].as_py()}",
            action="say in data.source.zone which zone's clocks they are by, UTC or Europe/Berlin",
        )


def _change_of(rule: ColumnRule, zone: str) -> Callable[[str], str] | None:
    steps: list[Callable[[str], str]] = []
    if rule.map:
        steps.append(lambda text: rule.map.get(text, text))
    if rule.match:
        steps.append(lambda text: next((name for form, name in rule.match.items() if re.fullmatch(form, text)), text))
    if rule.is_number:
        steps.append(lambda text: _number(rule, text))
    if rule.time:
        steps.append(lambda text: _time(rule.time, zone, text))
    if rule.id_of_text:
        steps.append(text_id)
    if not steps:
        return None

    def change(text: str) -> str:
        for step in steps:
            text = step(text)
        return text

    return change


def _each_once(values: pa.Array, change: Callable[[str], str | None]) -> pa.Array:
    coded = values.dictionary_encode()
    return texts([change(text) for text in coded.dictionary.to_pylist()]).take(coded.indices)


def _products(rule: ColumnRule, values: pa.Array, factors: pa.Array) -> pa.Array:
    """Each number times that of the other column, in the source's way of writing; what is no number stays."""
    pairs = pc.binary_join_element_wise(values, factors, "\x00")
    return pc.coalesce(_each_once(pairs, lambda pair: _product(rule, *pair.split("\x00", 1))), values)


def _product(rule: ColumnRule, text: str, factor: str) -> str | None:
    one, other = _decimal(rule, text), _decimal(rule, factor)
    if one is None or other is None:
        return None
    return format(one * other, "f").replace(".", rule.decimal)


def _decimal(rule: ColumnRule, text: str) -> Decimal | None:
    plain = text.replace(".", "").replace(",", ".") if rule.decimal == "," else text
    try:
        number = Decimal(plain.strip())
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def _number(rule: ColumnRule, text: str) -> str:
    number = _decimal(rule, text)
    if number is None:
        return text
    scale, offset = (Decimal(str(value)).normalize() for value in (rule.scale, rule.offset))
    made = number * scale + offset
    return format(abs(made) if rule.absolute else made, "f")


def _time(formats: Sequence[str], zone: str, text: str) -> str:
    for form in formats:
        try:
            moment = _moment(form, text.strip())
        except (ValueError, OverflowError, OSError):
            continue
        if moment.tzinfo is None and zone:
            moment = moment.replace(tzinfo=ZoneInfo(zone))
        return (moment if moment.tzinfo is None else moment.astimezone(UTC)).isoformat()
    return text


def _moment(form: str, text: str) -> datetime:
    if form == "iso":
        return datetime.fromisoformat(text)
    if form in UNITS:
        return datetime.fromtimestamp(int(text) / UNITS[form], UTC)
    return datetime.strptime(text, form)  # noqa: DTZ007 - the caller gives it its zone


def text_id(text: str) -> str:
    """The id of an item that is known by its text only."""
    return "t-" + digest_bytes(normalise(text).casefold().encode())[:12]
