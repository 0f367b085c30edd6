"""Relevance's tensors in the server: to what the scorer reads, and back. Copied into every package by digest.

It knows nothing of recflow and needs numpy only.
"""

from collections.abc import Mapping, Sequence

import numpy as np


def request(row: Mapping[str, np.ndarray]) -> tuple[str, list[str], list[str]]:
    """Query, titles and descriptions; UnicodeDecodeError for what is no UTF-8."""
    return (
        row["QUERY"][0].decode(),
        [text.decode() for text in row["TITLE"]],
        [text.decode() for text in row["DESCRIPTION"]],
    )


def outputs(scores: Sequence[float]) -> dict[str, np.ndarray]:
    """The answer of one request."""
    return {"SCORE": np.asarray(scores, dtype=np.float32)}
