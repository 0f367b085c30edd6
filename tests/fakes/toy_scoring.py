"""The toy task's scorer: a linear model, a row of weights a class."""

import json
from pathlib import Path


class Scorer:
    def __init__(self, folder, threads=1):
        self.weights = json.loads(Path(folder, "weights.json").read_text(encoding="utf-8"))

    def score_many(self, requests):
        if any(max(row) > 1e6 for row in requests):
            raise RuntimeError("numbers that this scorer cannot read")
        return [[sum(w * x for w, x in zip(line, row, strict=True)) for line in self.weights] for row in requests]
