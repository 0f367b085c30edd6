"""The rules of free text in their order: the same for a day's data and for what a gateway is asked.

A model that was trained on `[email]` must never be asked with an address, and nothing that is written may hold one.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from recflow.artifacts.cleaning import RuleReport
from recflow.config.sections.cleaning import CleaningSection
from recflow.domain.chinese import simplified
from recflow.domain.masking import find, mask
from recflow.domain.text import normalise

_EXAMPLES, _EXAMPLE_CHARACTERS = 3, 120


@dataclass(frozen=True)
class TextRule:
    """One rule, idempotent as all of them in their order are. All but the first expect a normalised text."""

    name: str
    apply: Callable[[str], str]


NORMALISE = TextRule("normalise", normalise)
SIMPLIFY = TextRule("simplify_chinese", simplified)
MASK = TextRule("mask", mask)


def rules_for_people(cleaning: CleaningSection) -> tuple[TextRule, ...]:
    """What happens to a text that a person typed: a query, a review, a comment."""
    return _rules(cleaning, masks=cleaning.mask)


def rules_for_catalogue(cleaning: CleaningSection) -> tuple[TextRule, ...]:
    """What happens to a title or a description."""
    return _rules(cleaning, masks=cleaning.mask and cleaning.mask_catalogue)


def _rules(cleaning: CleaningSection, *, masks: bool) -> tuple[TextRule, ...]:
    return (NORMALISE, *([SIMPLIFY] if cleaning.simplify_chinese else []), *([MASK] if masks else []))


def named(names: Iterable[str]) -> tuple[TextRule, ...]:
    """The rules of these names."""
    rules = {rule.name: rule for rule in (NORMALISE, SIMPLIFY, MASK)}
    return tuple(rules[name] for name in names)


def told_of_nobody(text: str) -> str:
    """The text as it is, or masked where personal data is in it: for what is kept as it was delivered."""
    return mask(normalise(text)) if find(normalise(text)) else text


def cleaned(text: str, rules: Iterable[TextRule]) -> str:
    """The text after each of the rules."""
    for rule in rules:
        text = rule.apply(text)
    return text


def report(name: str, changed: int, pairs: Iterable[tuple[str, str]]) -> RuleReport:
    """What a rule did, with the first pairs (before, after) that may be shown; of `mask` only what it left is shown."""
    shown = []
    for before, after in pairs:
        if name == MASK.name:
            shown.append(_cut(after))
        elif not find(normalise(before)):
            shown.append(f"{_cut(before)!r} → {_cut(after)!r}")
        if len(shown) == _EXAMPLES:
            break
    return RuleReport(name=name, changed=changed, examples=tuple(shown))


def _cut(text: str) -> str:
    return text if len(text) <= _EXAMPLE_CHARACTERS else text[:_EXAMPLE_CHARACTERS] + "…"
