"""The expressions that rooms may use beside plain relational verbs: each means the same on both engines.

`docs/decisions/0007-one-set-of-expressions-two-engines.md` says what each of them guards against. Texts are rules of
`domain`, called for each value; the rest is computed by the engine.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache, reduce
from math import log
from operator import or_

import ibis
from ibis import udf

from recflow.domain import assignment, free_text, lexical, masking, queries
from recflow.domain.near_duplicates import near_duplicate_key
from recflow.engine import Table, Value

# What Python's str.strip takes off.
_SPACE = r"[\t-\r\x{1C}-\x{20}\x{85}\x{A0}\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000}]"
# Printable ASCII without markup and double spaces: nothing to normalise, and most texts of most shops.
_PLAIN = r"\A[!-%'-;=?-~]+( [!-%'-;=?-~]+)*\z"
# Nothing that a float64 would make infinite.
_NUMBER = (
    r"[+-]?([0-9]{1,300}(\.[0-9]*)?|\.[0-9]+|"
    r"([0-9]{1,8}(\.[0-9]*)?|\.[0-9]+)[eE](-[0-9]+|\+?[0-2]?[0-9]{1,2})|"
    r"[0-9](\.[0-9]*)?[eE]\+?30[0-7]|1(\.[0-6][0-9]*)?[eE]\+?308)"
)
_TIME = (
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"([T ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9]([.][0-9]+)?)?(Z|[+-][0-9]{2}(:?[0-9]{2})?)?)?"
)

_SIZES_PER_DOUBLING = 4
_BETWEEN_SIZES = 0.37


@lru_cache(100_000)
def _cleaned_once(rules: str, given: str) -> str:
    return free_text.cleaned(given, free_text.named(rules.split()))


@udf.scalar.python
def _cleaned(rules: str, given: str) -> str:
    return _cleaned_once(rules, given)


@udf.scalar.python
def _told_of_nobody(given: str) -> str:
    return free_text.told_of_nobody(given)


@udf.scalar.python
def _near_duplicate_key(given: str) -> str:
    return near_duplicate_key(given)


@udf.scalar.python
def _query_id(query: str) -> str:
    return queries.query_id(query)


@udf.scalar.python
def _bucket(salt: str, unit: str) -> int:
    return assignment.bucket(salt, unit)


@udf.scalar.python
def _drawn(salt: str, unit: str, below: int) -> int:
    return assignment.drawn(salt, unit, below)


@udf.scalar.python
def _words(text: str) -> str:
    return " ".join(lexical.words(text))


@udf.scalar.python
def _shuffled(seed: str, query: str) -> str:
    return queries.shuffled(seed, query)


@udf.scalar.python
def _is_found(pattern: str, given: str) -> bool:
    return re.search(pattern, given) is not None


def cleaned(given: Value, rules: Sequence[free_text.TextRule]) -> Value:
    """A text after rules of `domain.free_text`, which begin with NORMALISE; null for one of which nothing is left."""
    names = ibis.literal(" ".join(rule.name for rule in rules))
    untouched = _harmless(given) if free_text.MASK in rules else given.re_search(_PLAIN)
    return ibis.ifelse(untouched, given, _cleaned(names, given.fill_null("")).nullif(""))


def told_of_nobody(given: Value) -> Value:
    """A text as it was delivered, or masked where personal data is in it."""
    return ibis.ifelse(given.isnull() | _harmless(given), given, _told_of_nobody(given.fill_null("")))


def _harmless(given: Value) -> Value:
    return given.re_search(_PLAIN) & ~given.re_search(masking.SUSPECT)


def near_duplicate(given: Value) -> Value:
    """A key that near duplicates share; null for a text that equals none, and for none."""
    return _near_duplicate_key(given.fill_null("")).nullif("")


def log_size(value: Value) -> Value:
    """The logarithm of a number without its sign; null for zero."""
    return value.abs().nullif(0).ln()


def distance(value: Value, other: float) -> Value:
    """How far a number is from another."""
    return (value - other).abs()


def stripped(given: Value) -> Value:
    """Without the white space around it, as Python sees it; null when nothing is left."""
    return _bare(given).nullif("")


def _bare(given: Value) -> Value:
    return given.re_replace(rf"\A{_SPACE}+|{_SPACE}+\z", "")


def _if_like(pattern: str, given: Value) -> Value:
    """The text without the white space around it, null for one of another form."""
    return _bare(ibis.ifelse(given.re_search(rf"\A{_SPACE}*({pattern}){_SPACE}*\z"), given, ibis.null("string")))


def query_id(query: Value) -> Value:
    """`domain.queries.query_id` of texts that are not null."""
    return _query_id(query)


def bucket(salt: str, unit: Value) -> Value:
    """`domain.assignment.bucket` of texts that are not null."""
    return _bucket(ibis.literal(salt), unit)


def drawn(salt: str, unit: Value, below: int) -> Value:
    """`domain.assignment.drawn` of texts that are not null."""
    return _drawn(ibis.literal(salt), unit, ibis.literal(below, "int64"))


def words(text: Value) -> Value:
    """`domain.lexical.words` of a text, each in a row of its own; a text without words, and none, have no row."""
    return _words(text.fill_null("")).nullif("").split(" ").unnest()


def shuffled(seed: str, query: Value) -> Value:
    """A text by which queries that are not null are in a random order: another seed, another order."""
    return _shuffled(ibis.literal(seed), query)


def is_found(pattern: str, given: Value) -> Value:
    """Whether Python's re.search finds the pattern; false for null."""
    if re.escape(pattern) == pattern:
        return given.contains(pattern).fill_null(False)
    return _is_found(ibis.literal(pattern), given.fill_null("")) & given.notnull()


def number(given: Value) -> Value:
    """The finite number that a text is, decimal or with an exponent, else null: no NaN comes of it."""
    return _if_like(_NUMBER, given).try_cast("float64")


def time(given: Value) -> Value:
    """The UTC time that an ISO 8601 text says, to the microsecond, else null. Without an offset it is in UTC."""
    bare = _if_like(_TIME, given)
    # Spark knows no time of minutes with an offset.
    whole_time = ibis.ifelse(
        bare.substr(16, 1).isin(["Z", "+", "-"]), bare.substr(0, 16) + ":00" + bare.substr(16), bare
    )
    return whole_time.try_cast('timestamp("UTC")').cast("timestamp")


def in_utc(moment: Value) -> Value:
    """A time of the engine as one that says that it is in UTC, for files that leave this room."""
    return moment.cast('timestamp("UTC")')


def naive(moment: Value) -> Value:
    """A time of a file, which says that it is in UTC, as a time of the engine."""
    return moment.cast("timestamp")


def seconds_after(start: datetime, moment: Value) -> Value:
    """Seconds from `start`, which knows its zone, to a time, with their fraction."""
    utc = start.astimezone(UTC).replace(tzinfo=None)
    return seconds_between(ibis.literal(utc, "timestamp"), moment)


def seconds_between(before: Value, after: Value) -> Value:
    """Seconds from one time to another, with their fraction."""
    return real(after.delta(before, unit="microsecond")) / 1e6


def minute(moment: Value) -> Value:
    """The start of a time's minute."""
    return moment.truncate("m")


def hour(moment: Value) -> Value:
    """The start of a time's hour."""
    return moment.truncate("h")


def size_class(value: Value) -> Value:
    """Which of four sizes a doubling a number above zero has, as a whole number that grows with it; null for others.

    The borders are no numbers that a shop writes: the engines' logarithms differ in their last digit.
    """
    above = ibis.ifelse(value > 0, real(value), ibis.null("float64"))
    return (above.ln() * (_SIZES_PER_DOUBLING / log(2)) + _BETWEEN_SIZES).floor().cast("int64")


def size_of_class(number: int) -> float:
    """The middle size of a `size_class`: a tenth at most from each number in it."""
    return float(2 ** ((number + 0.5 - _BETWEEN_SIZES) / _SIZES_PER_DOUBLING))


def whole(value: Value) -> Value:
    """A number without a fraction, null for one with a fraction."""
    return ibis.ifelse(value == value.floor(), value, ibis.null("float64"))


def real(value: Value) -> Value:
    """A number of 64 bits with a floating point: where Spark sees 0.5, it computes with decimals."""
    return value.cast("float64")


def rounded(value: Value) -> Value:
    """To six digits behind the point."""
    return real((real(value) * 1e6).round()) / 1e6


def nearest_whole(value: Value) -> Value:
    """Of a number that is not negative, a half goes up."""
    return (value + 0.5).floor()


def int32(value: Value) -> Value:
    """A whole number of 32 bits, out of one that has no fraction and fits."""
    return value.cast("int32")


def float32(value: Value) -> Value:
    """The nearest number of 32 bits."""
    return value.cast("float32")


def quantile(values: Value, share: float) -> Value:
    """The exact quantile of an aggregate, between two values by their distance."""
    return values.quantile(share)


def constant(value: object) -> Value:
    """The same value in each row."""
    return ibis.literal(value)


def holds(condition: Value) -> Value:
    """The condition, false where it is null."""
    return condition.fill_null(False)


def any_of(conditions: Sequence[Value]) -> Value:
    """Whether one of the conditions holds; false when there is none."""
    return reduce(or_, conditions, ibis.literal(False))


def when(condition: Value, value: object, otherwise: object = None) -> Value:
    """`value` where the condition holds, `otherwise` (null) elsewhere and where it is null."""
    return ibis.ifelse(condition, value, otherwise)


def computed_once(table: Table) -> Table:
    """The same rows: what is made of a column does not repeat how the column was made."""
    return table.view()


def first_of_each(table: Table, by: Sequence[str], order: Sequence[Value], number: int = 1) -> Table:
    """Whole rows: of those that agree in `by` (null agrees with null) the first ones in an order without ties."""
    place = ibis.row_number().over(group_by=list(by), order_by=list(order))
    return table.mutate(place_of_row=place).filter(lambda row: row.place_of_row < number).drop("place_of_row")


def repeats(table: Table, by: Sequence[str], order: Sequence[str]) -> Table:
    """The rows that agree in `by` with a row before them, in the columns `order` only, whose values are unique.

    Rows are hashed first, so that only those are held side by side which may agree.
    """
    hashed = table.mutate(hash_of_row=ibis.struct({name: table[name] for name in by}).hash())
    counted = hashed.group_by("hash_of_row").aggregate(alike=lambda rows: rows.count())
    alike = counted.filter(counted.alike > 1)
    candidates = hashed.semi_join(alike, "hash_of_row")
    place = ibis.row_number().over(group_by=list(by), order_by=[candidates[name] for name in order])
    numbered = candidates.mutate(place_of_row=place)
    return numbered.filter(numbered.place_of_row > 0).select(*order)


def copies(table: Table, times: Value, name: str) -> Table:
    """Each row as often as `times` says, a whole number, with the number of its copy from 0 in the column `name`."""
    return table.mutate(**{name: ibis.range(0, times.cast("int64")).unnest()})


def total(value: Value) -> Value:
    """The sum of `value` over all rows, beside each of them."""
    return value.sum().over(ibis.window())


def running_total(value: Value, order: Sequence[Value]) -> Value:
    """The sum of `value` over all rows before this one, in an order without ties; 0 for the first."""
    return value.sum().over(ibis.window(order_by=list(order), preceding=None, following=0)) - value


def sorted_texts(texts: Value) -> Value:
    """The texts of a group as a sorted list."""
    return texts.collect().sort()
