"""A model artifact in milliseconds: a scorer that counts shared words, with the same surface as the real one."""

import json
from pathlib import Path

from recflow.config.sections.serving import PackagingSection
from recflow.packaging.run import lay_out
from recflow.tasks.base import golden_json
from recflow.tasks.relevance.task import TASK

_DEFAULTS = PackagingSection()
QUERIES = {
    "red running shoe": [
        "red running shoe",
        "red running sock and hat",
        "running belt",
        "blue garden hose, ten metres",
        "a red brick for the wall of your house",
        "green tea",
        "shoe",
    ],
    "红色 跑鞋": ["红色 跑鞋", "绿色 跑鞋 男", "🍵 绿茶"],
    "": ["anything", ""],
}

SCORING = '''"""A stand-in for a real scorer: weight * share of the query's words that the title has."""

import json
import os


class Scorer:
    def __init__(self, folder, threads=1):
        with open(os.path.join(folder, "scorer.json"), encoding="utf-8") as stream:
            self.weight = json.load(stream)["weight"]
        if os.path.getsize(os.path.join(folder, "model.onnx")):
            import onnxruntime

            onnxruntime.InferenceSession(os.path.join(folder, "model.onnx"))

    def score(self, query, titles, descriptions):
        return self.score_many([(query, titles, descriptions)])[0]

    def score_many(self, requests):
        return [[self._one(query, title) for title in titles] for query, titles, _ in requests]

    def _one(self, query, title):
        if title == "poison":
            raise RuntimeError("a title that this scorer cannot read")
        asked = query.split()
        return self.weight * sum(word in title.split() for word in asked) / max(1, len(asked))
'''


def write_model(folder: Path, *, weight: float = 1.0, onnx: bytes = b"") -> Path:
    """A model artifact's folder; `onnx` that is not empty is really loaded by onnxruntime."""
    folder.mkdir(parents=True)
    (folder / "scoring.py").write_text(SCORING, encoding="utf-8")
    (folder / "scorer.json").write_text(json.dumps({"weight": weight}))
    (folder / "model.onnx").write_bytes(onnx)
    (folder / "tokenizer.json").write_text("{}")
    (folder / "golden.json").write_text(json.dumps(golden(weight)), encoding="utf-8")
    return folder


def write_package(
    folder: Path, *, weight: float = 1.0, onnx: bytes = b"", section: PackagingSection = _DEFAULTS
) -> Path:
    """A package's folder, laid out by the real packaging."""
    model = write_model(folder.with_name(f"{folder.name}-model"), weight=weight, onnx=onnx)
    folder.mkdir()
    lay_out(model, section, TASK.serving, folder)
    return folder


def overlap(query: str, title: str, weight: float = 1.0) -> float:
    """What the stand-in scorer answers."""
    asked = query.split()
    return weight * sum(word in title.split() for word in asked) / max(1, len(asked))


def golden(weight: float) -> list[dict[str, object]]:
    rows = [
        {
            "query": query,
            "titles": titles,
            "descriptions": [""] * len(titles),
            "scores": [overlap(query, title, weight) for title in titles],
        }
        for query, titles in QUERIES.items()
    ]
    return [golden_json(TASK.serving, TASK.serving.golden(row)) for row in rows]
