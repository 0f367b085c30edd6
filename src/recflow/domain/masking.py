"""Personal data in free text: what is found, and the text with a token such as `[email]` in its place.

Everything here expects texts that `domain/text.py` has normalised: digits are ASCII then, and nothing is hidden between
them. Numbers with a checksum (cards, Chinese ID numbers, IBANs) are found wherever it holds; phone numbers by how they
are written, or by a word such as `call` or `电话` beside them; accounts of messengers only by such a word. What shops write
most is no personal data: an article number by its own checksum (GTIN), a date, a price, a size.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Literal

Kind = Literal["email", "iban", "id", "card", "account", "phone"]

# RE2, Java and Python agree on this: an @, or seven digits with at most three other characters between any two of them.
# A text without either holds nothing that is masked.
SUSPECT = r"@|[0-9](?:[^0-9]{0,3}[0-9]){6}"
_SUSPECT = re.compile(SUSPECT)

_ALONE = r"(?<![0-9A-Za-z])(?<![0-9][-. /]){}(?![0-9A-Za-z])(?![-./]?[0-9])"


@dataclass(frozen=True)
class Found:
    """Personal data of a kind at `text[start:end]`."""

    kind: Kind
    start: int
    end: int


def mask(text: str) -> str:
    """The normalised text with a token for each piece of personal data. Idempotent; most texts return as they came."""
    pieces, last = [], 0
    for found in find(text):
        pieces += [text[last : found.start], f"[{found.kind}]"]
        last = found.end
    return "".join([*pieces, text[last:]]) if pieces else text


def find(text: str) -> list[Found]:
    """The personal data in a normalised text, from left to right, nothing twice."""
    if not _SUSPECT.search(text):
        return []
    everything: list[Found] = []
    # What was beside a number that is now masked may be one itself, so that we look until nothing is found.
    while found := list(_find_once(text)):
        everything += found
        for one in found:
            text = text[: one.start] + "]" * (one.end - one.start) + text[one.end :]
    return sorted(everything, key=lambda one: one.start)


def _find_once(text: str) -> Iterator[Found]:
    """What the first kind that finds anything finds."""
    for kind, pattern, holds in _KINDS:
        found = [Found(kind, *match.span("it")) for match in pattern.finditer(text) if holds(match)]
        if found:
            yield from found
            return


def _digits(text: str) -> str:
    return "".join(filter(str.isdecimal, text))


def _always(match: re.Match[str]) -> bool:
    return True


# ------------------------------------------------------------------------------------------------ numbers with a checksum
def _is_iban(match: re.Match[str]) -> bool:
    """ISO 13616: the country and check digits moved to the end, letters as 10 … 35, leave 1 by 97."""
    account = match["it"].replace(" ", "").upper()
    if not 15 <= len(account) <= 34:
        return False
    return int("".join(str(int(char, 36)) for char in account[4:] + account[:4])) % 97 == 1


def _is_chinese_id(match: re.Match[str]) -> bool:
    """GB 11643: region, date of birth, a serial number, and a check digit by 11."""
    number = match["it"].upper()
    try:
        born = date(int(number[6:10]), int(number[10:12]), int(number[12:14]))
    except ValueError:
        return False
    total = sum(int(digit) * pow(2, 17 - place, 11) for place, digit in enumerate(number[:17]))
    return born.year >= 1900 and number[17] == "10X98765432"[total % 11]


# What issuers begin their numbers with, by length; a number of twelve to fourteen digits may be an article's.
_ISSUED = re.compile(
    r"4(\d{12}|\d{15}|\d{18})|(5[1-5]|2[2-7])\d{14}|3[47]\d{13}|(6011|64[4-9]\d|65\d\d)\d{12}|35\d{14}"
    r"|3(0[0-5]|[68]\d)\d{11}|62\d{14,17}|(1800|2131)\d{11}|(50|5[6-9]|6)\d{10,17}"
)


def _is_card(match: re.Match[str]) -> bool:
    """ISO 7812: issued, with Luhn's check digit, and no article number."""
    number = _digits(match["it"])
    if not _ISSUED.fullmatch(number) or _is_gtin(number):
        return False
    doubled = [int(digit) * (1 + place % 2) for place, digit in enumerate(reversed(number))]
    return sum(value - 9 * (value > 9) for value in doubled) % 10 == 0


def _is_gtin(number: str) -> bool:
    """Whether this is an EAN, UPC or GTIN-14 by its length and check digit."""
    weighted = sum(int(digit) * (3 if place % 2 else 1) for place, digit in enumerate(reversed(number)))
    return len(number) in {8, 12, 13, 14} and weighted % 10 == 0


# ------------------------------------------------------------------------------------------------------- phone numbers
_BEFORE = re.compile(
    r"(?:\b(?:tele)?phones?|\btel|\bcall(?:s|ed|ing)?|\bmobiles?|\bcell(?:ular)?|\bfax|\bwhats ?app|\bsms|\btexts?|\bring|\bdial"
    r"|\bcontact(?:s|ed)?|\breach|\banswer(?:s|ed|ing)?|\bdesk|电话|電話|手机|手機|致电|致電|拨打|撥打|热线|熱線|联系|聯繫|传真|傳真)"
    r"[^0-9\]]{0,20}$",
    re.IGNORECASE,
)
_AFTER = re.compile(r"[ ,;:()-]{0,3}(?:fax|mobile|cell|office|phone)\b", re.IGNORECASE)
_DATE = re.compile(r"\d{4}([-./])\d{1,2}\1\d{1,2}\b|\d{1,2}([-./])\d{1,2}\2\d{4}\b")


def _is_beside_a_word(match: re.Match[str]) -> bool:
    number = _digits(match["it"])
    if not 7 <= len(number) <= 15 or _DATE.match(match["it"]):
        return False
    text, start = match.string, match.start()
    return bool(_BEFORE.search(text[max(0, start - 32) : start]) or _AFTER.match(text, match.end()))


def _has(least: int, most: int) -> Callable[[re.Match[str]], bool]:
    return lambda match: least <= len(_digits(match["it"])) <= most


_EXTENSION = r"(?: ?(?:x|ext\.? ?)\d{1,5})?"
_PHONES: tuple[tuple[str, Callable[[re.Match[str]], bool]], ...] = (
    # +41 (0)71 526 99 04, 001-518-640-0854
    (r"(?:\+|(?<![-./])00(?=\d{1,3}[-. (]))\d{1,3}(?:[-. ]?\(?\d{1,4}\)?){2,6}" + _EXTENSION, _has(9, 16)),
    # 138 0000 0000
    (r"(?:86[- ]?)?1[3-9]\d(?:\d{8}|-\d{4}-\d{4}| \d{4} \d{4})", _always),
    # (201) 555-0123 x4
    (r"(?:1[-. ])?(?:\([2-9]\d\d\) ?|[2-9]\d\d(?P<sep>[-. ]))[2-9]\d\d(?(sep)(?P=sep)|[-. ])\d{4}" + _EXTENSION, _always),
    # 07700 900 123, (010) 12345678
    (r"(?:\(0\d{1,4}\) ?|0\d{1,4}(?P<gap>[-. ]))\d{2,8}(?:(?(gap)(?P=gap)|[-. ])\d{2,8}){0,4}", _has(9, 12)),
    (r"\(?\d(?:[-. /()]{0,2}\d){6,14}" + _EXTENSION, _is_beside_a_word),
)

_LETTERS = "A-Za-z0-9\u00c0-\u024f"
_KINDS: tuple[tuple[Kind, re.Pattern[str], Callable[[re.Match[str]], bool]], ...] = (
    (
        "email",
        re.compile(rf"(?P<it>[{_LETTERS}._%+-]{{1,64}}@(?:[{_LETTERS}-]{{1,63}}\.){{1,8}}[A-Za-z]{{2,24}})"),
        _always,
    ),
    (
        "iban",
        re.compile(_ALONE.format(r"(?P<it>[A-Za-z]{2}\d\d(?: ?[A-Za-z0-9]{4}){2,7}(?: ?[A-Za-z0-9]{1,3})?)")),
        _is_iban,
    ),
    ("id", re.compile(_ALONE.format(r"(?P<it>[1-8]\d{16}[0-9Xx])")), _is_chinese_id),
    ("id", re.compile(_ALONE.format(r"(?P<it>(?!000|666)[0-8]\d\d-(?!00)\d\d-(?!0000)\d{4})")), _always),
    ("card", re.compile(_ALONE.format(r"(?P<it>\d{12,19}|\d{4}([- ])\d{4}\2\d{4}\2\d{4}|\d{4}([- ])\d{6}\3\d{5})")), _is_card),
    ("account", re.compile(r"(?:\bqq|微信|wechat)[^0-9\]]{0,6}(?P<it>(?<!\d)\d{5,12}(?!\d))", re.IGNORECASE), _always),
    *(("phone", re.compile(_ALONE.format(f"(?P<it>{pattern})")), holds) for pattern, holds in _PHONES),
)
