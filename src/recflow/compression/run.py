"""Compress: export, make smaller forms, hold each against the trained model, keep the smallest that agrees."""

import json
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn

from recflow.artifacts.digests import digest_file
from recflow.compression.export import export_fp32, quantise_int8, quantise_int8_blocks, refuse_broken
from recflow.compression.ladder import Rung, Trained, choose, judge
from recflow.compression.own import write_own
from recflow.compression.scoring import Scorer
from recflow.config.sections.compression import CompressionSection
from recflow.domain import lexical, text
from recflow.domain.golden import GOLDEN, Golden
from recflow.domain.judged import JudgedQuery
from recflow.errors import PermanentError
from recflow.stages import StageContext, StageOutput
from recflow.tasks.base import Serving, Task, golden_json

_RULES = (Path(str(text.__file__)), Path(str(lexical.__file__)), Path(__file__).with_name("scoring.py"))
_QUANTISERS: Mapping[str, Callable[[Path, Path], None]] = {"int8": quantise_int8, "int8_blocks": quantise_int8_blocks}
_BOUND_TO_BATCH = frozenset({"int8"})  # one scale for all activations of a batch
_EDGE_TEXTS = (
    "无线蓝牙耳机 正品",
    "🎸 guitar 🎶",
    "ＦＵＬＬ　ｗｉｄｔｈ　１２３",
    "",
    "very long " * 200,
    "<b>bold</b> &amp; plain",
    "naïve café",
)
_TIMED_ITEMS, _TIMED_RUNS = 20, 15
_MAX_QUERIES = 300  # thousands of item pairs tell the agreement to a tenth of a percent
_MIB = 2**20


class TrainedEncoders(Protocol):
    """What compression needs of training's encoders."""

    def load(self, folder: Path, *, dropout: float = 0.0) -> nn.Module:
        """The trained encoder."""

    def tokenizer(self, folder: Path, max_tokens: int) -> Callable[[Sequence[str]], list[tuple[int, ...]]]:
        """The trained encoder's tokenizer."""

    def trained_scores(self, checkpoint: Path, queries: Sequence[JudgedQuery]) -> list[list[float]]:
        """Scores as training computes them."""


def run(context: StageContext, *, encoders: TrainedEncoders, task: Task) -> StageOutput:
    """The model of the task's own trainer, or the smallest form of a text encoder that holds the ladder."""
    if task.trainer is not None:
        return write_own(context, task, task.trainer())
    return compress(context, encoders, task)


def compress(context: StageContext, encoders: TrainedEncoders, task: Task) -> StageOutput:
    """Write the smallest self-contained model that holds the ladder.

    Raises PermanentError when not even the fp32 export agrees with the trained model, or the tokenizers differ.
    """
    section = context.recipe.compression
    checkpoint = context.folder("checkpoint")
    queries = asked_queries(task.metrics.read(context.folder("dataset"), "test")[:_MAX_QUERIES], section)
    trained = encoders.trained_scores(checkpoint, queries)
    encoder = encoders.load(checkpoint / "encoder")
    with tempfile.TemporaryDirectory(dir=context.output.parent, prefix="variants-") as scratch:
        folders = _build(section, checkpoint, encoder, Path(scratch))
        scorers = {variant: Scorer(str(folder), cached_texts=0) for variant, folder in folders.items()}
        _refuse_other_tokens(scorers["fp32"], encoders, checkpoint, queries)
        times = _p50_ms(
            {name: partial(scorer.score, *_timed_texts(queries)) for name, scorer in scorers.items()}
            | {"trained": _trained_pass(checkpoint, encoder, encoders, queries)}
        )
        rungs = [
            judge(
                variant,
                section,
                Trained(task.metrics, queries, trained),
                scorer.score_many([task.metrics.request(query) for query in queries]),
                size_mb=round((folders[variant] / "model.onnx").stat().st_size / _MIB, 2),
                p50_ms=times[variant],
            )
            for variant, scorer in scorers.items()
        ]
        chosen = _chosen(rungs)
        shutil.copytree(folders[chosen.variant], context.output, dirs_exist_ok=True)
    size = (checkpoint / "encoder" / "model.safetensors").stat().st_size
    short = task.metrics.short
    before = {"size_mb": round(size / _MIB, 2), "p50_ms": times["trained"]}
    _write_golden(context.output, queries[: section.golden_requests + len(_EDGE_TEXTS)], task.serving)
    (context.output / "ladder.json").write_text(json.dumps(_report(chosen, rungs, before, short), indent=1))
    return StageOutput(numbers=_numbers(chosen, rungs, before, short))


def asked_queries(test: Sequence[JudgedQuery], section: CompressionSection) -> list[JudgedQuery]:
    """First the golden requests (test queries, then texts of the odd kinds), then the other test queries."""
    kept = list(test[: section.golden_requests])
    edges = [
        JudgedQuery(
            f"edge-{number}", edge, (*_EDGE_TEXTS, "a plain title"), (*_EDGE_TEXTS, ""), (0.0,) * 8, (1.0,) * 8, ""
        )
        for number, edge in enumerate(_EDGE_TEXTS)
    ]
    return [_normalised(query) for query in (*kept, *edges, *test[section.golden_requests :])]


def _normalised(query: JudgedQuery) -> JudgedQuery:
    return JudgedQuery(
        query.query_id,
        text.normalise(query.query),
        tuple(map(text.normalise, query.titles)),
        tuple(map(text.normalise, query.descriptions)),
        query.grades,
        query.weights,
        query.frequency,
    )


def _build(section: CompressionSection, checkpoint: Path, encoder: nn.Module, root: Path) -> dict[str, Path]:
    """A complete model folder for each variant; fp32 first, the others are made from it."""
    names = ["fp32", *(variant for variant in section.variants if variant != "fp32")]
    folders = {name: root / name for name in names}
    for name, folder in folders.items():
        folder.mkdir()
        for rule in _RULES:
            shutil.copyfile(rule, folder / rule.name)
        settings = json.loads((checkpoint / "scorer.json").read_text()) | {"each_text_alone": name in _BOUND_TO_BATCH}
        (folder / "scorer.json").write_text(json.dumps(settings, indent=1))
        shutil.copyfile(checkpoint / "encoder" / "tokenizer.json", folder / "tokenizer.json")
        model = folder / "model.onnx"
        if name == "fp32":
            export_fp32(encoder, model, opset=section.opset)
        else:
            _QUANTISERS[name](folders["fp32"] / "model.onnx", model)
        refuse_broken(model)
    return folders


def _refuse_other_tokens(
    scorer: Scorer, encoders: TrainedEncoders, checkpoint: Path, queries: Sequence[JudgedQuery]
) -> None:
    limit = json.loads((checkpoint / "scorer.json").read_text())["max_tokens"]
    texts = list(dict.fromkeys(item for query in queries for item in (query.query, *query.titles, *query.descriptions)))
    trained, exported = encoders.tokenizer(checkpoint / "encoder", limit)(texts), scorer.token_ids(texts)
    wrong = [item for item, a, b in zip(texts, trained, exported, strict=True) if a != b]
    if wrong:
        raise PermanentError(
            "the exported tokenizer differs from the trained one",
            expected="equal token ids",
            seen=f"{len(wrong)} of {len(texts)} texts differ, first {wrong[0][:80]!r}",
        )


def _chosen(rungs: Sequence[Rung]) -> Rung:
    fp32 = next(rung for rung in rungs if rung.variant == "fp32")
    chosen = choose(rungs) if fp32.holds else None
    if chosen is None:
        raise PermanentError(
            "the exported model differs from the trained one", expected="equal scores", seen=f"fp32: {fp32.reason}"
        )
    return chosen


def _timed_texts(queries: Sequence[JudgedQuery]) -> tuple[str, list[str], list[str]]:
    titles = [title for query in queries for title in query.titles][:_TIMED_ITEMS]
    return queries[0].query, titles, [item for query in queries for item in query.descriptions][:_TIMED_ITEMS]


def _trained_pass(
    checkpoint: Path, encoder: nn.Module, encoders: TrainedEncoders, queries: Sequence[JudgedQuery]
) -> Callable[[], Any]:
    """What the trained encoder does for the same texts: one padded batch, one thread."""
    limit = json.loads((checkpoint / "scorer.json").read_text())["max_tokens"]
    query, titles, _ = _timed_texts(queries)
    rows = encoders.tokenizer(checkpoint / "encoder", limit)([query, *titles])
    ids = nn.utils.rnn.pad_sequence([torch.tensor(row) for row in rows], batch_first=True)
    mask = nn.utils.rnn.pad_sequence([torch.ones(len(row), dtype=torch.long) for row in rows], batch_first=True)
    return torch.inference_mode()(partial(encoder, ids, mask))


def _p50_ms(acts: Mapping[str, Callable[[], Any]]) -> dict[str, float]:
    """Median time of each act, one after the other in every round, so that a busy host slows all alike."""
    times: dict[str, list[float]] = {name: [] for name in acts}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for _ in range(_TIMED_RUNS + 1):
            for name, act in acts.items():
                began = time.perf_counter()
                act()
                times[name].append(time.perf_counter() - began)
    finally:
        torch.set_num_threads(threads)
    return {name: round(statistics.median(values[1:]) * 1000, 2) for name, values in times.items()}


def _write_golden(folder: Path, queries: Sequence[JudgedQuery], serving: Serving[Any]) -> None:
    scorer = Scorer(str(folder), cached_texts=0)
    scores = [scorer.score(query.query, query.titles, query.descriptions) for query in queries]
    golden = [
        golden_json(serving, Golden(serving.example(query), serving.answered(row)))
        for query, row in zip(queries, scores, strict=True)
    ]
    (folder / GOLDEN).write_text(json.dumps(golden, ensure_ascii=False, indent=1), encoding="utf-8")


def _report(chosen: Rung, rungs: Sequence[Rung], before: Mapping[str, float], short: str) -> dict[str, Any]:
    return {
        "chosen": chosen.variant,
        "trained": dict(before),
        "rules": {rule.name: digest_file(rule) for rule in _RULES},
        "rungs": [rung.told(short) for rung in rungs],
    }


def _numbers(chosen: Rung, rungs: Sequence[Rung], before: Mapping[str, float], short: str) -> dict[str, Any]:
    refused = {rung.variant: rung.reason for rung in rungs if not rung.holds}
    return {
        "variant": chosen.variant,
        "size_mb_before": before["size_mb"],
        "size_mb": chosen.size_mb,
        "p50_ms_before": before["p50_ms"],
        "p50_ms": chosen.p50_ms,
        "agreement": round(chosen.agreement, 5),
        f"{short}_drop": round(chosen.drop, 5),
        **({"refused": refused} if refused else {}),
    }
