"""What the values of a column look like. Nothing of the values is kept but the kinds of acts that they may name."""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

_LOOKED_AT = 500  # values, or up to twice as many
_MOST_KINDS = 30
_ENOUGH = 0.95  # of the values that are there
_NUMBER = re.compile(r"[-+]?\d{1,15}(\.\d+)?([eE][-+]?\d+)?")
_WITH_COMMA = re.compile(r"[-+]?(\d{1,3}(\.\d{3})+|\d+),\d+")
_OFFSET = re.compile(r"(Z|[+-]\d\d:?\d\d)$")
_HAN = re.compile("[\u3400-\u4dbf\u4e00-\u9fff]")
_KANA = re.compile("[\u3040-\u30ff]")
_LETTER = re.compile(r"[^\W\d_]")
_EPOCHS = {"seconds": 9, "milliseconds": 12, "microseconds": 15}  # from 2001 to 2096: 10 ** this, and four times that
_TIME_FORMATS = (
    "%d.%m.%Y %H:%M:%S", "%d.%m.%Y %H:%M", "%d.%m.%Y", "%d/%m/%Y %H:%M:%S", "%d/%m/%Y %H:%M", "%d/%m/%Y",
    "%m/%d/%Y %H:%M:%S", "%m/%d/%Y %H:%M", "%m/%d/%Y", "%Y/%m/%d %H:%M:%S", "%Y/%m/%d %H:%M", "%Y/%m/%d",
    "%Y-%m-%d %H:%M:%S %Z", "%Y%m%d%H%M%S",
)  # fmt: skip


@dataclass(frozen=True)
class Look:
    """What a column looks like.

    `filled` is the share of rows with a value, `distinct` that of different values among them, `spaced` that of values
    with spaces, `han` that of values with Chinese and no Japanese characters. `times` are formats that read nearly all
    values, `wall` says that some have no offset, `ambiguous` that day and month may be the other way round.
    """

    name: str
    filled: float
    distinct: float
    spaced: float
    han: float
    letters: float
    mean_length: float
    is_number: bool = False
    is_whole: bool = False
    decimal_comma: bool = False
    some_negative: bool = False
    within: tuple[float, float] = (0.0, 0.0)
    times: tuple[str, ...] = ()
    wall: bool = False
    ambiguous: bool = False
    kinds: tuple[str, ...] = ()

    @property
    def is_id(self) -> bool:
        """Whether the values may name things: neither free text nor numbers with a fraction."""
        return self.filled > 0 and self.spaced < 0.2 and (not self.is_number or self.is_whole) and not self.times

    @property
    def is_text(self) -> bool:
        """Whether the values are words."""
        return self.letters > 0.5 and not self.times and not self.is_number


def look_at(name: str, values: Sequence[str | None]) -> Look:
    """What a column's values look like; an empty text is no value."""
    there = [value.strip() for value in values if value and value.strip()]
    if not there:
        return Look(name, 0, 0, 0, 0, 0, 0)
    counted = Counter(there)
    some = list(counted)[:: max(1, len(counted) // _LOOKED_AT)]
    times, ambiguous = _times(some)
    plain, comma = _share(some, _NUMBER.fullmatch), _share(some, _WITH_COMMA.fullmatch)
    is_number = plain + comma >= _ENOUGH and not set(times) - set(_EPOCHS)
    numbers = [_number(value, comma=comma > 0) for value in some] if is_number else []
    return Look(
        name=name,
        filled=len(there) / len(values),
        distinct=len(counted) / len(there),
        spaced=_share(some, lambda text: " " in text),
        han=_share(some, lambda text: _HAN.search(text) and not _KANA.search(text)),
        letters=_share(some, _LETTER.search),
        mean_length=sum(map(len, some)) / len(some),
        is_number=is_number,
        is_whole=is_number and all(number == int(number) for number in numbers if abs(number) < 1e15),
        decimal_comma=is_number and comma > 0,
        some_negative=any(value.startswith("-") for value in counted),
        within=(min(numbers, default=0.0), max(numbers, default=0.0)),
        times=times,
        wall=any(not _OFFSET.search(text) and not text.isdecimal() for text in some) if times else False,
        ambiguous=ambiguous,
        kinds=tuple(sorted(counted)) if len(counted) <= _MOST_KINDS else (),
    )


def _share(values: Sequence[str], fits: Callable[[str], object]) -> float:
    return sum(bool(fits(value)) for value in values) / len(values)


def _number(text: str, *, comma: bool) -> float:
    try:
        return float(text.replace(".", "").replace(",", ".") if comma else text)
    except ValueError:
        return 0.0


def _times(values: Sequence[str]) -> tuple[tuple[str, ...], bool]:
    """The formats that read nearly all values, and whether day and month may be the other way round."""
    machines = tuple(form for form in _MACHINES if _share(values, _READERS[form]) > 0)
    if _share(values, lambda text: any(_READERS[form](text) for form in machines)) >= _ENOUGH:
        return machines, False
    fitting = [form for form in _TIME_FORMATS if _share(values, _READERS[form]) >= _ENOUGH]
    return tuple(fitting[:1]), len(fitting) > 1 and fitting[0].startswith("%d/")


def _within(low: int, high: int) -> Callable[[str], bool]:
    return lambda text: text.isdecimal() and len(text) < 20 and low <= int(text) < high


def _reads(form: str) -> Callable[[str], bool]:
    def reads(text: str) -> bool:
        try:
            return bool(datetime.strptime(text, form))  # noqa: DTZ007 - only whether it can be read
        except ValueError:
            return False

    return reads


def _reads_iso(text: str) -> bool:
    try:
        return len(text) >= len("2011-01-04") and "-" in text and bool(datetime.fromisoformat(text))
    except ValueError:
        return False


_MACHINES = ("iso", *_EPOCHS)
_READERS: dict[str, Callable[[str], bool]] = {
    "iso": _reads_iso,
    **{unit: _within(10**digits, 4 * 10**digits) for unit, digits in _EPOCHS.items()},
    **{form: _reads(form) for form in _TIME_FORMATS},
}
