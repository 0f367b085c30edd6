"""Offline gate: answer the held-out queries as shoppers would see them, post-processing included, and decide."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np

from recflow.artifacts.decisions import Decision, Verdict
from recflow.artifacts.parents import Parent
from recflow.config.sections.gate import Floor
from recflow.domain.judged import JudgedQuery, read_judged
from recflow.evaluation.evidence import Evidence
from recflow.evaluation.floors import cosines, floor_texts, popularity, read_bm25
from recflow.evaluation.gate import decide
from recflow.evaluation.metrics import ByQuery, best_threshold, by_query
from recflow.evaluation.packaged import Package, open_package
from recflow.evaluation.plots import plot_slices
from recflow.evaluation.slices import NAMES, slice_parts
from recflow.stages import StageContext, StageOutput


class BaseEncoder(Protocol):
    """What the gate needs of the encoders: vectors by the untrained base model."""

    def base_folder(self, name: str) -> Path:
        """The folder of a base model."""

    def encode(self, folder: Path, texts: Sequence[str], max_tokens: int) -> np.ndarray:
        """Vectors (texts, width) of length 1."""


def run(context: StageContext, *, encoders: BaseEncoder) -> StageOutput:
    """Judge the package against the parent's package and the floors; a red gate is a decision, not an error."""
    dataset = context.folder("dataset")
    test, validation = read_judged(dataset, "test"), read_judged(dataset, "validation", required=False)
    parent = Parent.model_validate_json((context.folder("parent") / "parent.json").read_bytes())
    candidate = _measure(open_package(context.artifacts, context.one("package")), test, validation)
    baseline = _measure(open_package(context.artifacts, parent.package), test, validation) if parent.package else None
    evidence = Evidence(
        candidate=candidate.metrics,
        baseline=baseline.metrics if baseline else None,
        floors=_floors(context, dataset, test, encoders),
        failures=candidate.failures,
        baseline_failures=baseline.failures if baseline else (),
    )
    decision = decide(context.recipe.offline_gate, evidence)
    _write(context, decision, evidence, [query.query_id for query in test])
    numbers = {"verdict": decision.verdict.value, **decision.numbers}
    return StageOutput(numbers=numbers, reusable=decision.verdict is not Verdict.INCONCLUSIVE)


@dataclass(frozen=True)
class _Measured:
    """Metrics by slice, and why a test query got no answer, one reason a query."""

    metrics: Mapping[str, ByQuery]
    failures: tuple[str, ...]


def _measure(package: Package, test: Sequence[JudgedQuery], validation: Sequence[JudgedQuery]) -> _Measured:
    answers = package.answers([*validation, *test])
    scores = [None if isinstance(given, Exception) else given for given in answers]
    first = len(validation)
    threshold = best_threshold(validation, scores[:first])
    errors = [given for given in answers[first:] if isinstance(given, Exception)]
    failures = tuple(f"{type(error).__name__}: {error}"[:200] for error in errors)
    return _Measured(_by_slice(test, scores[first:], threshold), failures)


def _by_slice(
    test: Sequence[JudgedQuery], scores: Sequence[list[float] | None], threshold: float | None
) -> dict[str, ByQuery]:
    measured = {"": by_query(test, scores, threshold)}
    for name in NAMES:
        parts = slice_parts(test, name)
        rows = [test[part.index].only(part.items) for part in parts]
        given = [_only(scores[part.index], part.items) for part in parts]
        if rows:
            measured[name] = by_query(rows, given, threshold)
    return measured


def _only(scores: list[float] | None, items: Sequence[int]) -> list[float] | None:
    return None if scores is None else [scores[item] for item in items]


def _floors(
    context: StageContext, dataset: Path, test: Sequence[JudgedQuery], encoders: BaseEncoder
) -> dict[str, ByQuery]:
    """The metrics of the floors that the recipe names."""

    def bm25() -> list[list[float]]:
        scorer = read_bm25(dataset, test)
        return [scorer.score(query.query, query.titles) for query in test]

    def untrained() -> list[list[float]]:
        section, texts = context.recipe.training, floor_texts(test)
        vectors = encoders.encode(encoders.base_folder(section.base_model), texts, section.max_tokens)
        return cosines(test, dict(zip(texts, vectors, strict=True)))

    scores: dict[Floor, Callable[[], list[list[float]]]] = {
        "bm25": bm25,
        "untrained": untrained,
        "popularity": partial(popularity, dataset, test),
    }
    return {name: by_query(test, scores[name](), None) for name in context.recipe.offline_gate.floors}


def _write(context: StageContext, decision: Decision, evidence: Evidence, query_ids: Sequence[str]) -> None:
    output = context.output
    (output / "decision.json").write_text(decision.model_dump_json(indent=1))
    (output / "report.json").write_text(json.dumps({"query_ids": list(query_ids), **asdict(evidence.usable())}))
    plot_slices(decision, output / "findings.png")
