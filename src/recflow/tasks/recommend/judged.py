"""Judged users: what each one did before, and what was to be predicted of what came after."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

from recflow.errors import BadData
from recflow.tasks.recommend.catalogue import Catalogue, read_catalogue
from recflow.tasks.recommend.histories import read_rows

SHOWN = 10


@dataclass(frozen=True)
class Known:
    """What all judged users have in common: of each item the acts that train, and its words."""

    interactions: Mapping[str, int]
    texts: Mapping[str, str]
    catalogue: Catalogue


@dataclass(frozen=True)
class JudgedUser:
    """One held-out user.

    `history` are items by time, the oldest first, with the `seconds` of each since 1970; `targets` are the distinct
    items that the user turned to at `at` and later; `country` is that of the first of them.
    """

    user_key: str
    history: tuple[str, ...]
    seconds: tuple[float, ...]
    targets: tuple[str, ...]
    at: float
    country: str
    known: Known

    @property
    def request(self) -> dict[str, Any]:
        """What a scorer is asked, as `scoring.py` reads it."""
        return {
            "history": list(self.history),
            "seconds": list(self.seconds),
            "country": self.country,
            "at": self.at,
            "k": SHOWN,
            "exclude": [],
        }


def read_judged(dataset: Path, split: str, *, required: bool = True) -> list[JudgedUser]:
    """The users of a held-out split that have something to be predicted, in the order of their keys.

    BadData when it cannot be read, or has none of them though `required`.
    """
    catalogue = read_catalogue(dataset)
    ids = catalogue.ids.to_pylist()
    known = Known(
        dict(zip(ids, catalogue.interactions.tolist(), strict=True)),
        dict(zip(ids, catalogue.texts, strict=True)),
        catalogue,
    )
    found = list(_users(dataset, split, known))
    if required and not found:
        raise BadData(f"split {split} of the data set is empty", expected="at least one user", seen="none")
    return found


def _users(dataset: Path, split: str, known: Known) -> Iterator[JudgedUser]:
    rows = read_rows(dataset, split).sort_by([(name, "ascending") for name in ("user_key", "at", "item_id")])
    for user_key, group in groupby(rows.to_pylist(), key=itemgetter("user_key")):
        acts = list(group)
        before, wanted = ([act for act in acts if act["label"] == label] for label in (0, 1))
        if not wanted:
            continue
        yield JudgedUser(
            user_key,
            tuple(act["item_id"] for act in before),
            tuple(_seconds(act["at"]) for act in before),
            tuple(dict.fromkeys(act["item_id"] for act in wanted)),
            _seconds(wanted[0]["at"]),
            wanted[0]["country"] or "",
            known,
        )


def _seconds(moment: datetime) -> float:
    return moment.replace(tzinfo=UTC).timestamp()
