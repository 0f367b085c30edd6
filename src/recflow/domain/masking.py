"""Personal data in free text: what is found, and the text with a token such as `[email]` in its place.

Everything here expects texts that `domain/text.py` has normalised: digits are ASCII then, and nothing is hidden between
them. Numbers with a checksum (cards, Chinese ID numbers, IBANs) are found wherever it holds; phone numbers by how they
are written, or by a word such as `call` or `电话` beside them; accounts of messengers and US social security numbers,
which have no check digit, only by such a word. What shops write most is no personal data: an article number by its own
check digit (GTIN), a date, a price, a size.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Literal

Kind = Literal["email", "iban", "id", "card", "account", "phone"]

# RE2, Java and Python agree on this: an @, or seven digits with at most three other characters between any two of them.
# A text without either holds nothing that is masked.
SUSPECT = r"@|[0-9](?:[^0-9]{0,3}[0-9]){6}"
_SUSPECT = re.compile(SUSPECT)

# Beside no letter and in no longer number; groups of digits also beside no further group.
_ALONE = r"(?<![0-9A-Za-z])(?<![0-9]\.){}(?![0-9A-Za-z])(?!\.[0-9])"
_GROUPS_ALONE = r"(?<![0-9][-. /])" + _ALONE + r"(?![-/][0-9])"


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
    everything: list[Found] = []
    if _SUSPECT.search(text):
        # What was beside a number that is now masked may be one itself, so that we look until nothing is found.
        while found := _look_once(text):
            everything += found
            for one in found:
                text = _without(text, one)
    return sorted(everything, key=lambda one: one.start)


def _look_once(text: str) -> list[Found]:
    """What each kind finds in what the kinds before it left."""
    everything = []
    for kind, pattern, length in _KINDS:
        place = 0
        while match := pattern.search(text, place):
            place = match.end()
            if taken := length(match):
                found = Found(kind, match.start("it"), match.start("it") + taken)
                text, place = _without(text, found), found.end
                everything.append(found)
    return everything


def _without(text: str, found: Found) -> str:
    """Brackets for what is found: beside it a text reads as it will beside the token, at the same places."""
    return text[: found.start] + "]" * (found.end - found.start) + text[found.end :]


# How many characters of `it` in a match are personal data, 0 for none.
_Length = Callable[[re.Match[str]], int]


def _whole(match: re.Match[str]) -> int:
    return len(match["it"])


def _whole_if(holds: Callable[[re.Match[str]], bool]) -> _Length:
    return lambda match: _whole(match) if holds(match) else 0


def _digits(text: str) -> str:
    return "".join(filter(str.isdecimal, text))


# -------------------------------------------------------------------------------------------- numbers with a checksum
def _iban_length(match: re.Match[str]) -> int:
    """The longest that is an IBAN: words in capitals may follow it in groups of its own kind."""
    account = match["it"]
    while account and not _is_iban(account.replace(" ", "").upper()):
        account = account.rpartition(" ")[0]
    return len(account)


def _is_iban(account: str) -> bool:
    """ISO 13616: the country and check digits moved to the end, letters as 10 … 35, leave 1 by 97."""
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
# Not \b, for which Chinese characters are letters of the same word.
_BEFORE = re.compile(
    r"(?:(?<![a-z])(?:(?:tele)?phone|tel|call(?:s|ed|ing)?|mobile|cell(?:ular)?|fax|whats ?app|sms|text|ring|dial"
    r"|contact|reach|answer(?:s|ed|ing)?|desk)(?![a-z])"
    r"|电话|電話|手机|手機|致电|致電|拨打|撥打|热线|熱線|联系|聯繫|传真|傳真)[^0-9\]]{0,20}$",
    re.IGNORECASE,
)
# `51992767 mobile phone` is an article: the word has to be tied to the number.
_AFTER = re.compile(
    r"(?: ?[-(] ?(?:fax|mobile|cell|office|phone|home|work)| (?:fax|office))(?![a-z])",
    re.IGNORECASE,
)
_DATE = re.compile(r"\d{4}([-./])\d{1,2}\1\d{1,2}\b|\d{1,2}([-./])\d{1,2}\2\d{4}\b|(?:19|20)\d\d ?- ?(?:19|20)\d\d\b")


def _is_beside_a_word(match: re.Match[str]) -> bool:
    number = _digits(match["it"])
    if not 7 <= len(number) <= 15 or _DATE.match(match["it"]):
        return False
    text, start = match.string, match.start()
    return bool(_BEFORE.search(text[max(0, start - 32) : start]) or _AFTER.match(text, match.end()))


def _has(least: int, most: int) -> _Length:
    return _whole_if(lambda match: least <= len(_digits(match["it"])) <= most)


_EXTENSION = r"(?: ?(?:x|ext\.? ?)\d{1,5})?"
_PHONES: tuple[tuple[str, _Length], ...] = (
    # +41 (0)71 555 99 04, 001-518-555-0854
    (rf"(?:\+|(?<![-./])00(?=\d{{1,3}}[-. (]))\d{{1,3}}(?:[-. ]?\(?\d{{1,4}}\)?){{2,6}}{_EXTENSION}", _has(9, 16)),
    # 138 0000 0000
    (r"(?:86[- ]?)?1[3-9]\d(?:-\d{4}-\d{4}| \d{4} \d{4})", _whole),
    # (201) 555-0123 x4
    (
        rf"(?:1[-. ])?(?:\([2-9]\d\d\) ?|[2-9]\d\d(?P<sep>[-. ]))[2-9]\d\d(?(sep)(?P=sep)|[-. ])\d{{4}}{_EXTENSION}",
        _whole,
    ),
    # 07700 900 123, (010) 12345678
    (r"(?:\(0\d{1,4}\) ?|0\d{1,4}(?P<gap>[. ]))\d{2,8}(?:(?(gap)(?P=gap)|[-. ])\d{2,8}){0,4}", _has(9, 12)),
    (r"0\d{1,4}-\d{3,8}(?:-\d{3,8})?", _has(9, 12)),
    (rf"\(?\d(?:[-. ()]{{0,2}}\d){{6,14}}{_EXTENSION}", _whole_if(_is_beside_a_word)),
)

_LETTERS = "A-Za-z0-9\u00c0-\u024f"
_PATTERNS: tuple[tuple[Kind, str, _Length], ...] = (
    ("email", rf"(?P<it>[{_LETTERS}._%+-]{{1,64}}@(?:[{_LETTERS}-]{{1,63}}\.){{1,8}}[A-Za-z]{{2,24}})", _whole),
    ("iban", _ALONE.format(r"(?P<it>(?:[A-Z]{2}|[a-z]{2})\d\d(?:[A-Z0-9]{11,30}|[a-z0-9]{11,30}))"), _iban_length),
    ("iban", _ALONE.format(r"(?P<it>[A-Z]{2}\d\d(?: [A-Z0-9]{4}){2,7}(?: [A-Z0-9]{1,3})?)"), _iban_length),
    ("id", _ALONE.format(r"(?P<it>[1-8]\d{16}[0-9Xx])"), _whole_if(_is_chinese_id)),
    ("id", r"(?i:(?<![a-z])(?:ssn|social security))[^0-9\]]{0,20}(?P<it>\d{3}-\d\d-\d{4}(?!\d))", _whole),
    ("card", _ALONE.format(r"(?P<it>\d{12,19})"), _whole_if(_is_card)),
    (
        "card",
        _GROUPS_ALONE.format(r"(?P<it>\d{4}(?P<gap>[- ])(?:\d{4}(?P=gap)\d{4}(?P=gap)\d{4}|\d{6}(?P=gap)\d{5}))"),
        _whole_if(_is_card),
    ),
    ("account", r"(?i:(?<![a-z])qq|微信|wechat)[^0-9\]]{0,6}(?P<it>(?<!\d)\d{5,12}(?!\d))", _whole),
    ("phone", _ALONE.format(r"(?P<it>(?:\+?86[- ]?)?1[3-9]\d{9})"), _whole),
    *(("phone", _GROUPS_ALONE.format(f"(?P<it>{pattern})"), length) for pattern, length in _PHONES),
)
_KINDS = tuple((kind, re.compile(pattern), length) for kind, pattern, length in _PATTERNS)
