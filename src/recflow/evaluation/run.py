"""Offline gate: score the held-out queries as the model will serve, before any post-processing, and decide."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from recflow.artifacts.decisions import Decision, Verdict
from recflow.artifacts.parents import Parent
from recflow.artifacts.refs import RefKind
from recflow.domain.judged import JudgedQuery, read_judged
from recflow.evaluation.floors import Bm25, cosines, floor_texts
from recflow.evaluation.gate import Evidence, decide
from recflow.evaluation.metrics import ByQuery, Scores, best_threshold, by_query
from recflow.evaluation.packaged import PackagedScorer, open_scorer, score_queries
from recflow.evaluation.plots import plot_slices
from recflow.evaluation.slices import NAMES, slice_parts
from recflow.stages import StageContext, StageOutput

Metrics = Mapping[str, ByQuery]


class BaseEncoder(Protocol):
    """What the gate needs of the encoders: vectors by the untrained base model."""

    def base_folder(self, name: str) -> Path:
        """The folder of a base model."""

    def encode(self, folder: Path, texts: Sequence[str], max_tokens: int) -> np.ndarray:
        """Vectors (texts, width) of length 1."""


def run(context: StageContext, *, encoders: BaseEncoder) -> StageOutput:
    """Judge the model against the parent's package and the floors; a red gate is a decision, not an error."""
    dataset = context.folder("dataset")
    test, validation = read_judged(dataset, "test"), read_judged(dataset, "validation", required=False)
    parent = Parent.model_validate_json((context.folder("parent") / "parent.json").read_bytes())
    candidate = open_scorer(context.artifacts, context.one("model").expect(RefKind.MODEL))
    baseline = open_scorer(context.artifacts, parent.package) if parent.package else None
    evidence = Evidence(
        candidate=_measure(candidate, test, validation),
        baseline=_measure(baseline, test, validation) if baseline else None,
        floors=_floors(context, dataset, test, encoders),
    )
    decision = decide(context.recipe.offline_gate, evidence)
    _write(context, decision, evidence, [query.query_id for query in test])
    numbers = {"verdict": decision.verdict.value, **decision.numbers}
    return StageOutput(numbers=numbers, reusable=decision.verdict is not Verdict.INCONCLUSIVE)


def _measure(scorer: PackagedScorer, test: Sequence[JudgedQuery], validation: Sequence[JudgedQuery]) -> Metrics:
    threshold = best_threshold(validation, score_queries(scorer, validation))
    return _by_slice(test, score_queries(scorer, test), threshold)


def _by_slice(test: Sequence[JudgedQuery], scores: Scores, threshold: float | None) -> Metrics:
    measured = {"": by_query(test, scores, threshold)}
    for name in NAMES:
        parts = slice_parts(test, name)
        rows = [test[part.index].only(part.items) for part in parts]
        given = [[scores[part.index][item] for item in part.items] for part in parts]
        if rows:
            measured[name] = by_query(rows, given, threshold)
    return measured


def _floors(
    context: StageContext, dataset: Path, test: Sequence[JudgedQuery], encoders: BaseEncoder
) -> dict[str, ByQuery]:
    known = [title for query in read_judged(dataset, "train") for title in query.titles]
    bm25 = Bm25(known)
    section = context.recipe.training
    texts = floor_texts(test)
    vectors = encoders.encode(encoders.base_folder(section.base_model), texts, section.max_tokens)
    scores = {
        "bm25": [bm25.score(query.query, query.titles) for query in test],
        "untrained": cosines(test, dict(zip(texts, vectors, strict=True))),
    }
    return {name: by_query(test, given, None) for name, given in scores.items()}


def _write(context: StageContext, decision: Decision, evidence: Evidence, query_ids: Sequence[str]) -> None:
    output = context.output
    (output / "decision.json").write_text(decision.model_dump_json(indent=1))
    report = {
        "query_ids": list(query_ids),
        "candidate": dict(evidence.candidate),
        "baseline": dict(evidence.baseline) if evidence.baseline is not None else None,
        "floors": dict(evidence.floors),
    }
    (output / "report.json").write_text(json.dumps(report))
    plot_slices(decision, output / "findings.png")
