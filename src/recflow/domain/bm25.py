"""Okapi BM25 on titles (Robertson and Zaragoza 2009): the one formula, for numbers and for columns of a table."""

from typing import Any

_K1, _B = 1.5, 0.75


def odds(titles: Any, found: Any) -> Any:
    """What a word's idf is the logarithm of, above 1: of `titles` titles, `found` have the word."""
    return 1 + (titles - found + 0.5) / (found + 0.5)


def weight(idf: Any, count: Any, length: Any, mean_length: Any) -> Any:
    """What one asked word adds to a title's score, which has it `count` times among its `length` words."""
    return idf * count * (_K1 + 1) / (count + _K1 * (1 - _B + _B * length / mean_length))
