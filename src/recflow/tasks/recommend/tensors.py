"""Recommending's tensors in the server: to what the scorer reads, and back. Copied into every package by digest.

It knows nothing of recflow and needs numpy only.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


def request(row: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """The history by time and what else the scorer reads; UnicodeDecodeError for what is no UTF-8."""
    return {
        "history": [item.decode() for item in row["HISTORY"]],
        "seconds": row["SECONDS"].tolist(),
        "country": row["COUNTRY"][0].decode(),
        "at": float(row["AT"][0]),
        "k": int(row["K"][0]),
        "exclude": [item.decode() for item in row["EXCLUDE"]],
    }


def outputs(given: tuple[Sequence[tuple[str, float]], bool]) -> dict[str, np.ndarray]:
    """The answer of one request: items with their scores, best first, and whether popularity chose them."""
    pairs, by_popularity = given
    return {
        "ITEM": np.array([item.encode() for item, _ in pairs], dtype=np.object_),
        "SCORE": np.array([score for _, score in pairs], dtype=np.float32),
        "POPULAR": np.array([by_popularity]),
    }
