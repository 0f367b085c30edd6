"""RecTools' SASRec on a file of sequences: runs in an environment of its own, apart from this project's.

    PYTHON rectools_sasrec.py FILE SECONDS

After each epoch one line of JSON: the seconds that fitting took so far, and nDCG@10 of the validation items of at most
5,000 users, who are the same in each epoch. The last line is that of the epoch in which SECONDS are over. The model has
the sizes and the softmax that the project's own begins from, everything else is RecTools' default.
"""

import json
import math
import random
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd
from rectools import Columns
from rectools.dataset import Dataset
from rectools.models import SASRecModel

_PLACES, _MOST_USERS, _LEAST = 10, 5000, 3


def main(file: Path, limit: float) -> None:
    """Fit epoch by epoch until the time is over."""
    lines = (line.split() for line in file.read_text(encoding="utf-8").splitlines())
    sequences = {user: items for user, *items in filter(None, lines) if len(items) >= _LEAST}
    acts = [(user, item, 1, place) for user, items in sequences.items() for place, item in enumerate(items[:-2])]
    table = pd.DataFrame(acts, columns=[Columns.User, Columns.Item, Columns.Weight, Columns.Datetime])
    table[Columns.Datetime] = pd.to_datetime(table[Columns.Datetime], unit="D")
    dataset = Dataset.construct(table)
    lasting = {user for user, items in sequences.items() if len(items) > _LEAST}  # RecTools leaves out users of one act
    users = random.Random(0).sample(sorted(sequences), min(_MOST_USERS, len(sequences)))
    model = SASRecModel(n_blocks=2, n_heads=2, n_factors=64, session_max_len=50, deterministic=True)
    spent = 0.0
    while spent < limit:
        began = time.perf_counter()
        model.fit_partial(dataset, min_epochs=1, max_epochs=1)
        spent += time.perf_counter() - began
        reached = _ndcg(model, dataset, [user for user in users if user in lasting], sequences) / len(users)
        print(json.dumps({"seconds": round(spent, 1), "ndcg": reached}), flush=True)


def _ndcg(model: Any, dataset: Any, users: list[str], sequences: dict[str, list[str]]) -> float:
    """The sum over users; an item of the history is no answer."""
    found = model.recommend(users, dataset, k=_PLACES, filter_viewed=True)
    hits = found[Columns.Item] == found[Columns.User].map(lambda user: sequences[user][-2])
    return float(sum(1 / math.log2(rank + 1) for rank in found.loc[hits, Columns.Rank]))


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]))
