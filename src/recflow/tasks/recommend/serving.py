"""Recommending as it is served: whose history a shop sends, how that becomes tensors, and what a user is shown."""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from math import inf, log
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from recflow.artifacts.events import ComparedItem, Exposure, ShownItem
from recflow.config.sections.serving import ServingSection
from recflow.domain.answers import Chosen
from recflow.domain.requests import ItemId, Refusal, Request, null_as
from recflow.domain.signatures import Signature, Tensor, Tensors, texts
from recflow.tasks.base import Acted, Ordered, Serving
from recflow.tasks.recommend import scoring, tensors
from recflow.tasks.recommend.judged import JudgedUser

COUNTRY, AT = "country", "at"
_NOTHING = "nothing"
_COMPARED = 10
_LENGTHS = ((0, "no history"), (4, "histories of 1 to 4 acts"), (19, "histories of 5 to 19 acts"))
_LONG = 10_000
_LEAST = 1e-12


def _act(given: Any) -> Any:
    return given if isinstance(given, dict) else {"item_id": given}


class Act(BaseModel):
    """An item that the user turned to, and when, where that is known."""

    model_config = ConfigDict(coerce_numbers_to_str=True)
    item_id: ItemId
    at: datetime | None = None

    @property
    def seconds(self) -> float | None:
        """Seconds since 1970; a time without a zone is in UTC."""
        return None if self.at is None else _seconds(self.at)


class RecommendRequest(Request):
    """Choose items for a user, by what the user turned to before.

    `history` are item ids, or objects with `item_id` and `at`, in any order of time; ids without a time belong behind
    the one before them. Without `history` it is what the user did with earlier answers of this line. `context` may say
    the `country`, and with `at` another time than now. `basis` in the answer is what items were chosen by: `history`;
    `popularity`, where nothing in it is known; `nothing`, where none were chosen.
    """

    history: list[Annotated[Act, BeforeValidator(_act)]] | None = None
    k: int = 10
    exclude: Annotated[list[ItemId], null_as([])] = Field(default_factory=list)

    @property
    def by_time(self) -> list[Act]:
        """The history, the oldest act first; acts of one time stay as they were sent."""
        latest, placed = -inf, []
        for act in self.history or ():
            latest = latest if act.seconds is None else act.seconds
            placed.append((latest, act))
        return [act for _, act in sorted(placed, key=lambda pair: pair[0])]


def recommend_tensors(asked: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """What the scorer reads, see `scoring.py`, as the model takes it."""
    return {
        "HISTORY": texts(iter(asked["history"])),
        "SECONDS": np.array(asked["seconds"], dtype=np.float64),
        "COUNTRY": texts(iter([asked["country"]])),
        "AT": np.array([asked["at"]], dtype=np.float64),
        "K": np.array([asked["k"]], dtype=np.int32),
        "EXCLUDE": texts(iter(asked["exclude"])),
    }


class RecommendServing(Serving[RecommendRequest]):
    """A history in, the items that a user may turn to next out."""

    endpoint = "recommend"
    request = RecommendRequest
    signature = Signature(
        inputs=(
            Tensor(name="HISTORY", datatype="BYTES", dims=("acts",)),
            Tensor(name="SECONDS", datatype="FP64", dims=("acts",)),
            Tensor(name="COUNTRY", datatype="BYTES", dims=(1,)),
            Tensor(name="AT", datatype="FP64", dims=(1,)),
            Tensor(name="K", datatype="INT32", dims=(1,)),
            Tensor(name="EXCLUDE", datatype="BYTES", dims=("excluded",)),
        ),
        outputs=(
            Tensor(name="ITEM", datatype="BYTES", dims=("items",)),
            Tensor(name="SCORE", datatype="FP32", dims=("items",)),
            Tensor(name="POPULAR", datatype="BOOL", dims=(1,)),
        ),
    )
    adapter = Path(str(tensors.__file__))
    scoring = Path(str(scoring.__file__))
    model_files = (
        "model.onnx",
        "items.json",
        "recommender.json",
        "item_vectors.npy",
        "neighbours.npy",
        "neighbour_weights.npy",
    )
    ordered = True
    fallback = "empty"
    remembered = 50
    agreement = "overlap of the first ten"

    def refuse(self, request: RecommendRequest, limits: ServingSection) -> None:
        """422 with the code of the first limit that the request breaks."""
        broken = {
            ("k_too_small", "k: at least one item is to be asked for"): request.k < 1,
            ("k_too_large", f"k: {limits.max_items} items may be asked for"): request.k > limits.max_items,
            ("history_too_long", f"the history may have {limits.max_history} acts"):
                len(request.history or ()) > limits.max_history,
            ("exclude_too_long", f"{limits.max_excluded} items may be excluded"):
                len(request.exclude) > limits.max_excluded,
            ("no_time", "context.at: a time as 2011-01-01T12:00:00Z is needed"): _asked_at(request) is None,
        }  # fmt: skip
        for (code, message), is_broken in broken.items():
            if is_broken:
                raise Refusal(422, code, message)

    def informed(self, request: RecommendRequest, now: datetime, acts: Sequence[Acted]) -> RecommendRequest:
        """With the time of asking in its context and a history, where the shop did not say them."""
        known: dict[str, Any] = {"context": {AT: now.isoformat(), **request.context}}
        if request.history is None:
            known["history"] = [Act(item_id=act.item_id, at=act.at) for act in acts]
        return request.model_copy(update=known)

    def tensors(self, request: RecommendRequest) -> Tensors:
        """The history by time, where and when, and what is asked for."""
        acts = request.by_time
        return recommend_tensors({
            "history": [act.item_id for act in acts],
            "seconds": [act.seconds or 0.0 for act in acts],
            "country": request.context.get(COUNTRY, ""),
            "at": _asked_at(request),
            "k": request.k,
            "exclude": request.exclude,
        })  # fmt: skip

    def without_model(self, request: RecommendRequest) -> Tensors:
        """No items: what a user may turn to is known to the model only."""
        return tensors.outputs(([], True))

    def exposed(self, request: RecommendRequest, outputs: Tensors | None) -> dict[str, Any]:
        """The items in the order of their scores, and what they were chosen by."""
        found = _listed(outputs) if outputs else []
        shown = (
            ShownItem(item_id=item, position=position, score=score)
            for position, (item, score) in enumerate(found, start=1)
        )
        return {
            "query": "",
            "items": tuple(shown),
            "answer": json.dumps({"basis": _basis(outputs) if found else _NOTHING}),
        }

    def told(self, exposure: Exposure) -> dict[str, Any]:
        """The items with score and position, the first one first, and their basis."""
        shown = exposure.items
        items = [{"id": item.item_id, "score": item.score, "position": item.position} for item in shown]
        return {"items": items, **json.loads(exposure.answer)}

    def compared(self, request: RecommendRequest, shown: Exposure, outputs: Tensors) -> dict[str, Any]:
        """The candidate's place and score of what was shown, 0 where it shows it not; the overlap of the first ten."""
        shadow = {item: (score, place) for place, (item, score) in enumerate(_listed(outputs), start=1)}
        items = [(item, *shadow.get(item.item_id, (0.0, 0))) for item in shown.items]
        differences = [abs(item.score - score) for item, score, place in items if place]
        first = {item.item_id for item in shown.items[:_COMPARED]}, set([*shadow][:_COMPARED])
        most = max(map(len, first))
        return {
            "query": shown.query,
            "items": tuple(
                ComparedItem(item_id=item.item_id, score=item.score, shadow_score=score, shadow_position=place)
                for item, score, place in items
            ),
            "length": len(request.history or ()),
            "tau": len(first[0] & first[1]) / most if most else None,
            "overlap": None,
            "score_difference": sum(differences) / max(1, len(differences)),
        }

    def groups(self, asked: str, length: int, *, is_frequent: bool) -> tuple[str, ...]:
        """By how long the history is."""
        return (next((name for most, name in _LENGTHS if length <= most), "histories of 20 acts and more"),)

    def example(self, example: JudgedUser) -> Tensors:
        """What a judged user did before."""
        return recommend_tensors(example.request)

    def answered(self, given: Chosen) -> Tensors:
        """The chosen items, as the package gives them."""
        return tensors.outputs(given)

    def difference(self, expected: Tensors, seen: Tensors) -> float:
        """The largest relative difference of the scores at a place, and of an item's; infinite for another basis.

        An item that only one list has is as far off as its score is from the last one of the other list: of items that
        differ by noise either may be left out.
        """
        ours, theirs = _listed(expected), _listed(seen)
        if len(ours) != len(theirs) or _basis(expected) != _basis(seen):
            return inf
        places = (_apart(one, other) for (_, one), (_, other) in zip(ours, theirs, strict=True))
        return max([0.0, *places, *_by_item(ours, theirs), *_by_item(theirs, ours)])

    def order(self, expected: Tensors, seen: Tensors, atol: float) -> Ordered:
        """Pairs of the golden list's items by their places in the seen one; what is not in it stands behind all.

        Scores that differ relatively by less than `atol` may be noise.
        """
        places = {item: place for place, (item, _) in enumerate(_listed(seen))}
        golden = _listed(expected)
        return Ordered.of(
            [log(max(score, _LEAST)) for _, score in golden], [-places.get(item, inf) for item, _ in golden], atol
        )

    def odd_requests(self) -> Sequence[Tensors]:
        """No history, unknown and odd ids, one of 10,000 acts, more than there is, and nothing left to choose from."""
        odd = ("", "no such item", "红色 ", "\x00")
        plain = {"history": [], "seconds": [], "country": "", "at": 0.0, "k": 10, "exclude": []}
        long = {"history": [f"item {number % 7}" for number in range(_LONG)], "seconds": [*range(_LONG)]}
        changes: tuple[dict[str, Any], ...] = (
            {},
            {"history": odd, "seconds": [0.0] * len(odd), "country": "no such country"},
            long,
            {"k": 2**31 - 1},
            {"k": 1, "exclude": [f"item {number}" for number in range(_LONG)]},
            {"at": -1e12},
            {"at": 1e12},
        )
        return [recommend_tensors({**plain, **change}) for change in changes]

    def unseen(self, inputs: Tensors, number: int) -> Tensors:
        """The same history, without an item that nobody has."""
        return {**inputs, "EXCLUDE": texts(iter([f"unseen {number}"]))}


def _listed(outputs: Tensors) -> list[tuple[str, float]]:
    items = (item.decode() for item in outputs["ITEM"].tolist())
    return list(zip(items, outputs["SCORE"].tolist(), strict=True))


def _basis(outputs: Tensors | None) -> str:
    return "popularity" if outputs and outputs["POPULAR"][0] else "history"


def _by_item(ours: Sequence[tuple[str, float]], theirs: Sequence[tuple[str, float]]) -> Iterator[float]:
    scores = dict(theirs)
    return (_apart(score, scores.get(item, theirs[-1][1])) for item, score in ours)


def _apart(one: float, other: float) -> float:
    return abs(one - other) / max(abs(one), abs(other), _LEAST)


def _asked_at(request: RecommendRequest) -> float | None:
    """Seconds since 1970, 0 where nothing is said of it, None for what is no time."""
    try:
        return _seconds(datetime.fromisoformat(request.context[AT])) if AT in request.context else 0.0
    except (ValueError, OverflowError):
        return None


def _seconds(moment: datetime) -> float:
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
