"""Seconds of training until a recommender is as good as RecTools' SASRec gets in an hour, on Amazon Beauty.

Both train on one file in this run, one after the other, and are judged by nDCG@10 of the validation items, see
`leave_one_out`. RecTools' time is that of its epochs until its best one; ours is all of a training that stops when it
is as good, with neighbours, start vectors and evaluations. RecTools has an environment of its own, whose Python
RECFLOW_RECTOOLS_PYTHON names:

    pip install "rectools[torch]==0.19.0" numpy==1.26.4 pytorch-lightning==2.5.2
"""

import json
import os
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.leave_one_out import read_sequences, write_dataset
from benchmarks.recommend_quality import beauty, made
from recflow.errors import BadConfiguration
from recflow.tasks.recommend.options import RecommendTraining
from recflow.tasks.recommend.trainer import train

TARGET = 2.0
_HOUR = 3600.0
_SCRIPT = Path(__file__).with_name("rectools_sasrec.py")


def measure(quick: bool = False) -> dict[str, Any]:
    """How many times less our training takes; `quick` for one epoch of a small file that is made for it."""
    python = _python()
    with tempfile.TemporaryDirectory() as scratch:
        file = made(Path(scratch)) if quick else beauty()
        rival = _rival(python, file, 1.0 if quick else _HOUR)
        seconds, reached, epochs = _ours(file, Path(scratch), rival["ndcg"])
    return {
        "name": "recommend_training",
        "value": round(rival["seconds"] / seconds, 2),
        "unit": "x less time",
        "against": "RecTools 0.19 SASRec, 64 factors, 2 blocks, softmax over all items, its best epoch of an hour",
        "target": TARGET,
        "better": "higher",
        "seconds": round(seconds, 1),
        "seconds_rectools": rival["seconds"],
        "epochs": epochs,
        "ndcg": round(reached, 4),
        "ndcg_rectools": round(rival["ndcg"], 4),
        "ndcg_equal_or_better": reached >= rival["ndcg"],
    }


def _python() -> str:
    named = os.environ.get("RECFLOW_RECTOOLS_PYTHON", "")
    if not Path(named).is_file():
        raise BadConfiguration(
            "training is compared with RecTools, which needs an environment of its own",
            expected="its Python in RECFLOW_RECTOOLS_PYTHON", seen=named or "nothing",
            action="install it as benchmarks/recommend_training.py says",
        )  # fmt: skip
    return named


def _rival(python: str, file: Path, seconds: float) -> dict[str, float]:
    """The best epoch of RecTools: when it was over, and its nDCG@10."""
    done = subprocess.run([python, _SCRIPT, file, str(seconds)], capture_output=True, text=True, check=True)
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return max(lines, key=lambda line: line["ndcg"])


def _ours(file: Path, scratch: Path, wanted: float) -> tuple[float, float, int]:
    """Seconds, nDCG@10 and epochs of the shortest training that reaches what is wanted; else of the whole one."""
    sequences = read_sequences(file)
    write_dataset(sequences, scratch / "dataset")
    options = RecommendTraining(exclude_seen=not sequences.repeat)
    for epochs in (1, 2, 4, 8, 16, options.epochs):
        output = Path(tempfile.mkdtemp(dir=scratch))
        began = time.perf_counter()
        told = train(options.model_copy(update={"epochs": epochs}), scratch / "dataset", None, output)
        seconds = time.perf_counter() - began
        if told["validation_ndcg"] >= wanted:
            break
    return seconds, told["validation_ndcg"], int(told["epochs"])
