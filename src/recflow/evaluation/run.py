"""Offline gate: answer the held-out examples as shoppers would see them, post-processing included, and decide."""

import json
from dataclasses import asdict

from recflow.artifacts.decisions import Decision, Verdict
from recflow.artifacts.parents import Parent
from recflow.evaluation.evidence import Evidence
from recflow.evaluation.gate import decide
from recflow.evaluation.held_out import HeldOut, Measured
from recflow.evaluation.packaged import open_package
from recflow.evaluation.plots import plot_slices
from recflow.stages import StageContext, StageOutput
from recflow.tasks.base import BaseEncoder, Basis, Task


def run(context: StageContext, *, task: Task, encoders: BaseEncoder) -> StageOutput:
    """Judge the package against the parent's package and the floors; a red gate is a decision, not an error."""
    dataset, metrics = context.folder("dataset"), task.metrics
    held_out = HeldOut(metrics, metrics.read(dataset, "test"), metrics.read(dataset, "validation", required=False))
    parent = Parent.model_validate_json((context.folder("parent") / "parent.json").read_bytes())
    candidate = held_out.measure(open_package(context.artifacts, context.one("package")))
    baseline = held_out.measure(open_package(context.artifacts, parent.package)) if parent.package else None
    basis = Basis(context.recipe, dataset, encoders)
    floors = {name: task.floors.given(name, basis, held_out.test) for name in context.recipe.offline_gate.floors}
    evidence = Evidence(
        candidate=candidate.parts,
        baseline=baseline.parts if baseline else None,
        floors={name: metrics.measured(held_out.test, given, None) for name, given in floors.items()},
        failures=candidate.failures,
        baseline_failures=baseline.failures if baseline else (),
    )
    decision = _told(decide(context.recipe.offline_gate, evidence, metrics), candidate=candidate, baseline=baseline)
    _write(context, decision, evidence, held_out)
    numbers = {"verdict": decision.verdict.value, **decision.numbers}
    return StageOutput(numbers=numbers, reusable=decision.verdict is not Verdict.INCONCLUSIVE)


def _told(decision: Decision, **sides: Measured | None) -> Decision:
    """The decision with what is told of all answers of each side."""
    told = {f"{name}_{who}": value for who, side in sides.items() if side for name, value in side.overall.items()}
    return decision.model_copy(update={"numbers": {**decision.numbers, **told}})


def _write(context: StageContext, decision: Decision, evidence: Evidence, held_out: HeldOut) -> None:
    output, metrics = context.output, held_out.metrics
    (output / "decision.json").write_text(decision.model_dump_json(indent=1))
    ids = {f"{metrics.unit}_ids": [metrics.unit_id(example) for example in held_out.test]}
    (output / "report.json").write_text(json.dumps({**ids, **asdict(evidence.usable(metrics.by_name))}))
    plot_slices(decision, output / "findings.png", metrics.unit)
