"""The scorer: a history in, items out. Stand-alone: copied into every model by digest, it knows nothing of recflow.

Beside it in the model's folder: model.onnx (a history's item vectors and circumstances to the user's vector),
item_vectors.npy, neighbours.npy and neighbour_weights.npy (items, kept), items.json (ids by code, which are available,
popularity), recommender.json. It needs numpy and onnxruntime, and runs in training's environment as in the server's.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

Request = Mapping[str, Any]
"""`history`: item ids, the oldest first. `seconds`: when each was, since 1970; 0 for unknown. `country`, and `at`, the
time of asking: "" and 0 for unknown. `k`: how many items at most. `exclude`: ids that must not be among them."""
Answer = tuple[list[tuple[str, float]], bool]
"""Items with their scores, the best first; and whether popularity chose them, since nothing in the history is known."""
GAPS, HOURS, WEEKDAYS = 24, 25, 8
_LEAST_TIE = 1e-3
_MINUTE, _HOUR, _DAY = 60, 3600, 86400


class Scorer:
    """Ranks the catalogue for a user: a sequence model's scores joined with those of co-occurring items.

    `threads` is for one inference.
    """

    def __init__(self, folder: str, threads: int = 1) -> None:
        import onnxruntime

        root = Path(folder)
        items = json.loads((root / "items.json").read_text(encoding="utf-8"))
        self._settings = json.loads((root / "recommender.json").read_text(encoding="utf-8"))
        self._ids: list[str] = items["ids"]
        self._codes = {name: code for code, name in enumerate(self._ids)}
        self._popularity = np.array(items["popularity"], dtype=np.float32)
        self._showable = np.array(items["available"], dtype=bool)
        self._showable[self._known(self._settings["banned"])] = False
        self._countries = {name: code for code, name in enumerate(self._settings["countries"], start=1)}
        self._vectors, self._neighbours, self._weights = (
            np.load(root / f"{name}.npy", allow_pickle=False)
            for name in ("item_vectors", "neighbours", "neighbour_weights")
        )
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        self._session: Any = onnxruntime.InferenceSession(
            str(root / "model.onnx"), options, providers=["CPUExecutionProvider"]
        )

    def score_many(self, requests: Sequence[Request]) -> list[Answer]:
        """The answers to several requests, each as if it were alone, of at most k items.

        Scores are those of `joined`, or the acts on an item where popularity chose. Items that are not available,
        banned, excluded or, where the model says so, in the history are never among them.
        """
        return [self._answer(request) for request in requests]

    def parts(self, request: Request) -> tuple[np.ndarray, np.ndarray] | None:
        """What the sequence model and the neighbours give each item, before they are joined; None without a history."""
        known = [(self._codes[name], at) for name, at in zip(request["history"], request["seconds"], strict=True)
                 if name in self._codes][-self._settings["max_length"] :]  # fmt: skip
        if not known:
            return None
        codes, seconds = np.array([code for code, _ in known]), np.array([at for _, at in known], dtype=np.float64)
        following = np.append(seconds[1:], request["at"])
        country = np.full(len(codes), self._countries.get(request["country"], 0))
        feeds = {"vectors": self._vectors[codes][None], "context": circumstances(seconds, following, country)[None]}
        (user,) = self._session.run(["user"], feeds)
        return self._vectors @ user[0], near(codes, self._neighbours, self._weights, self._settings["recency"])

    def _answer(self, request: Request) -> Answer:
        parts = self.parts(request)
        scores = self._popularity if parts is None else joined(*parts, self._settings["neighbour_strength"])
        allowed = self._showable.copy()
        allowed[self._known(request["exclude"])] = False
        if self._settings["exclude_seen"]:
            allowed[self._known(request["history"])] = False
        pairs = [(self._ids[code], float(scores[code])) for code in _best(scores, allowed, request["k"])]
        return pairs, parts is None

    def _known(self, names: Iterable[str]) -> list[int]:
        return [self._codes[name] for name in names if name in self._codes]


def circumstances(seconds: np.ndarray, following: np.ndarray, countries: np.ndarray) -> np.ndarray:
    """What surrounds the act after each one, as codes (acts, 4); 0 is unknown.

    The time since the act before (`following` - `seconds`, on a log scale), the hour and weekday (UTC), the country.
    """
    gap = np.log2(1 + np.maximum(following - seconds, 0) / _MINUTE).astype(np.int64) + 1
    timed = following > 0
    return np.stack(
        [
            np.where(timed & (seconds > 0), np.minimum(gap, GAPS - 1), 0),
            np.where(timed, following // _HOUR % 24 + 1, 0).astype(np.int64),
            np.where(timed, following // _DAY % 7 + 1, 0).astype(np.int64),
            countries,
        ],
        axis=-1,
    )


def near(codes: np.ndarray, neighbours: np.ndarray, weights: np.ndarray, recency: float) -> np.ndarray:
    """How strongly each item is tied to a history: by the neighbours of its items, each act less the older it is."""
    age = np.arange(len(codes))[::-1]
    tied = weights[codes] * (recency**age)[:, None]
    return np.bincount(neighbours[codes].ravel(), tied.ravel(), minlength=len(neighbours))


def joined(sequence: np.ndarray, ties: np.ndarray, strength: float) -> np.ndarray:
    """Scores of the items (the last axis): but for a constant, logarithms of a product of the two models' chances.

    An item without ties counts as if it had a thousandth of the strongest one's; without any ties the sequence decides.
    """
    strongest = ties.max(axis=-1, keepdims=True)
    added: np.ndarray = np.log1p(ties / np.where(strongest > 0, strongest * _LEAST_TIE, 1.0))
    return sequence + strength * added


def _best(scores: np.ndarray, allowed: np.ndarray, k: int) -> np.ndarray:
    """The codes of the k highest scores that are allowed; of equal ones the first codes."""
    codes = np.flatnonzero(allowed)
    if 0 < k < len(codes):
        least = np.partition(scores[codes], len(codes) - k)[len(codes) - k]
        codes = codes[scores[codes] >= least]
    return codes[np.argsort(-scores[codes], kind="stable")][:k]
