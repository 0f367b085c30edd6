"""A real model artifact: an encoder exported to ONNX and quantised, with the real scorer; nothing is trained."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from recflow.compression.export import export_fp32, quantise_int8
from recflow.compression.scoring import Scorer
from recflow.domain import lexical, text
from recflow.domain.golden import Golden
from recflow.tasks.base import golden_json
from recflow.tasks.relevance.serving import rank_tensors
from recflow.tasks.relevance.task import TASK
from recflow.tasks.relevance.tensors import outputs
from recflow.training.encoder import Encoders

EDGES = ("", "无线蓝牙耳机", "🎸 guitar", "ＦＵＬＬ ｗｉｄｔｈ", "very long " * 100)


def write_real_model(folder: Path, base: Path, queries: dict[str, Sequence[str]]) -> Path:
    """An int8 model of the base encoder: half the cosine of query and title, half the words they share."""
    folder.mkdir(parents=True)
    for rule in (text.__file__, lexical.__file__, Path(lexical.__file__).parents[1] / "compression" / "scoring.py"):
        shutil.copy(rule, folder)
    shutil.copy(base / "tokenizer.json", folder)
    weights = {"cosine_title": 0.5, **dict.fromkeys(lexical.NAMES, 0.0), "coverage": 0.5}
    (folder / "scorer.json").write_text(json.dumps({"weights": weights, "max_tokens": 48, "each_text_alone": True}))
    export_fp32(Encoders().load(base), folder / "fp32.onnx", opset=18)
    quantise_int8(folder / "fp32.onnx", folder / "model.onnx")
    (folder / "fp32.onnx").unlink()
    scorer = Scorer(str(folder))
    golden = [
        Golden(
            rank_tensors(query, titles, [""] * len(titles)), outputs(scorer.score(query, titles, [""] * len(titles)))
        )
        for query, titles in {**queries, EDGES[1]: EDGES}.items()
    ]
    rows = [golden_json(TASK.serving, each) for each in golden]
    (folder / "golden.json").write_text(json.dumps(rows), encoding="utf-8")
    return folder
