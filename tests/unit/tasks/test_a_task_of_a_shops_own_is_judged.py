"""The toy task of tests/fakes goes from a day's rows to a decision without a line of src that knows it.

It has an outcome kind, a unit, a slice and a floor of its own, and a metric that is better when it is lower.
"""

import json
from functools import partial

import numpy as np
import pytest

from fakes.deliveries import day, partition_file
from fakes.engines import duckdb_engine
from fakes.fake_registry import FakeRegistry
from fakes.stage_bench import StageBench
from fakes.toy_task import KIND, OTHER_WEIGHTS, TASK, WEIGHTS, ToyTraining, installed, write_toy_package
from fakes.toy_world import toy_recipe
from recflow.artifacts.decisions import Decision, Verdict
from recflow.artifacts.parents import Parent
from recflow.artifacts.refs import RefKind
from recflow.compression import run as compression
from recflow.compression.spec import COMPRESS
from recflow.config.recipe import Recipe
from recflow.config.settings import Settings
from recflow.data import build
from recflow.data.spec import BUILD_DATASET
from recflow.domain.golden import read_golden
from recflow.errors import BadConfiguration, BadData, PermanentError
from recflow.evaluation import run as evaluation
from recflow.evaluation.spec import OFFLINE_GATE
from recflow.packaging import run as packaging
from recflow.packaging.spec import PACKAGE
from recflow.rollout.changes import made_with
from recflow.stages import stage_key
from recflow.tasks.base import read_signature
from recflow.training import run as training
from recflow.training.spec import FINE_TUNE
from recflow.wiring.provenance import made_with_now
from recflow.wiring.services import Services

OUTCOMES = {
    "kinds": [{"name": KIND, "strength": 1, "max_value": 2}],
    "metrics": [{"name": "ctr", "kind": KIND}],
}


def confirmed(number):
    """A row whose class is where its largest number stands."""
    label = number % 3
    numbers = np.eye(4)[label] * 3 + np.random.default_rng(number).uniform(0, 0.2, 4)
    return {
        "event_id": f"e{number}",
        "at": day().start.isoformat(),
        "kind": KIND,
        "value": float(label),
        "attributes": " ".join(f"{x:.3f}" for x in numbers),
    }


def browsed(number):
    return {"event_id": f"b{number}", "at": day().start.isoformat(), "kind": "browse"}


class ToyLine:
    """A day of the toy's rows, its data set, and packages that are judged on it."""

    def __init__(self, root):
        self.bench, self.root = StageBench(root / "bench"), root
        self.recipe = toy_recipe(
            "search", outcomes=OUTCOMES, split={"test_percent": 30}, offline_gate={"slices": [{"name": "rare"}]}
        )

    def dataset(self, rows):
        (self.root / "partition").mkdir(parents=True)
        partition_file(self.root / "partition" / "rows.parquet", rows)
        partition = self.bench.publish(RefKind.PARTITION, self.root / "partition")
        work = partial(build.run, engine=duckdb_engine)
        return self.bench.run(BUILD_DATASET, work, self.recipe, parent=self.bench.parent(), partitions=partition)

    def decide(self, dataset, weights, serving=None):
        package, *before = (
            self.bench.publish(RefKind.PACKAGE, write_toy_package(self.root / f"package-{number}", weights=each))
            for number, each in enumerate([weights, *([serving] if serving else [])])
        )
        parent = self.bench.parent(Parent(version="1", package=before[0]) if before else None)
        work = partial(evaluation.run, encoders=None)
        ref = self.bench.run(OFFLINE_GATE, work, self.recipe, package=package, parent=parent, dataset=dataset)
        folder = self.bench.artifacts.fetch(ref)
        decision = Decision.model_validate_json((folder / "decision.json").read_bytes())
        return decision, json.loads((folder / "report.json").read_bytes())


@pytest.fixture
def line(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(installed(tmp_path / "site"))
    return ToyLine(tmp_path / "line")


@pytest.fixture
def dataset(line):
    return line.dataset([*map(confirmed, range(120)), *map(browsed, range(20))])


def test_a_days_rows_become_its_examples_each_unit_on_one_side(line, dataset):
    folder = line.bench.artifacts.fetch(dataset)
    sides = {
        name: {found.name for found in TASK.metrics.read(folder, name)} for name in ("train", "validation", "test")
    }
    assert sum(map(len, sides.values())) == len(set.union(*sides.values())) == 120
    report = json.loads((folder / "dataset.json").read_text())
    assert report["rows"] == {name: len(found) for name, found in sides.items()}
    assert report["classes"]["train"] == 3
    assert (folder / "classes.parquet").exists()
    assert line.bench.artifacts.manifest(dataset).numbers["test_rows"] == len(sides["test"])


def test_days_without_its_outcome_kind_say_what_they_need(line):
    with pytest.raises(BadData, match="no train rows") as refusal:
        line.dataset([*map(browsed, range(20))])
    assert refusal.value.expected == "confirmed classes"


def test_a_sound_candidate_passes_with_its_own_numbers_slice_and_floor(line, dataset):
    decision, report = line.decide(dataset, WEIGHTS, serving=WEIGHTS)
    assert decision.verdict is Verdict.PASS
    assert decision.numbers["log_loss_change"] == [0, 0, 0]
    assert decision.numbers["log_loss_candidate"][0] < decision.numbers["log_loss_constant"][0]
    assert decision.numbers["rows"] == len(report["row_ids"])
    assert any(finding.rule == "slice rare" for finding in decision.findings)
    assert report["candidate"].keys() == {"", "rare"}


def test_a_candidate_of_more_loss_is_refused_beside_the_serving_model_and_beside_the_floor(line, dataset):
    decision, _ = line.decide(dataset, OTHER_WEIGHTS, serving=WEIGHTS)
    assert decision.verdict is Verdict.FAIL
    failed = {finding.rule for finding in decision.findings if finding.verdict is Verdict.FAIL}
    assert failed == {"log_loss against the serving model", "log_loss against the floor constant"}


def test_a_row_that_the_scorer_cannot_read_is_counted_in_the_tasks_own_words(line):
    rows = [confirmed(number) | {"attributes": "1e9 0 0 0"} for number in range(120)]
    decision, _ = line.decide(line.dataset(rows), WEIGHTS)
    assert decision.verdict is Verdict.FAIL
    assert "test rows without one, the first by RuntimeError" in " ".join(decision.reasons)


def test_it_goes_from_rows_through_training_compression_and_packaging_to_a_decision(line, dataset):
    bench, registry = line.bench, FakeRegistry()
    parent = bench.parent()
    checkpoint = bench.run(
        FINE_TUNE, partial(training.run, registry=registry, encoders=None), line.recipe, parent=parent, dataset=dataset
    )
    model = bench.run(
        COMPRESS, partial(compression.run, encoders=None), line.recipe, checkpoint=checkpoint, dataset=dataset
    )
    package = bench.run(PACKAGE, packaging.run, line.recipe, model=model)
    folder = bench.artifacts.fetch(package)
    assert len(read_golden(folder, TASK.serving.golden)) == 20
    assert read_signature(folder) == TASK.serving.signature
    # So a line whose change was refused is known again while nothing of it has changed.
    assert made_with(package, bench.artifacts) == made_with_now(Services(Settings(home=line.root)), line.recipe)
    work = partial(evaluation.run, encoders=None)
    ref = bench.run(OFFLINE_GATE, work, line.recipe, package=package, parent=parent, dataset=dataset)
    decision = Decision.model_validate_json(bench.artifacts.read(ref, "decision.json"))
    assert decision.verdict is Verdict.PASS
    assert decision.numbers["log_loss_candidate"][2] < decision.numbers["log_loss_constant"][1]
    (told,) = registry.runs.values()
    assert told["params"]["steps"] == 200


def test_a_training_starts_from_the_serving_models_checkpoint(line, dataset):
    bench, short = line.bench, line.recipe.model_copy(update={"training": ToyTraining(steps=1)})
    work = partial(training.run, registry=FakeRegistry(), encoders=None)
    losses = []
    parent = bench.parent()
    for _ in range(2):
        checkpoint = bench.run(FINE_TUNE, work, short, parent=parent, dataset=dataset)
        losses.append(json.loads(bench.artifacts.read(checkpoint, "weights.json"))[0][0])
        parent = bench.parent(Parent(version="1", checkpoint=checkpoint))
    assert losses[1] > losses[0] > 0


def test_a_training_in_several_processes_is_refused_before_anything_is_trained(line, dataset):
    gang = line.recipe.model_copy(update={"training": ToyTraining(processes=2)})
    work = partial(training.run, registry=FakeRegistry(), encoders=None)
    with pytest.raises(BadConfiguration, match=r"training\.processes is not heeded: .* in one process"):
        line.bench.run(FINE_TUNE, work, gang, parent=line.bench.parent(), dataset=dataset)


def test_a_model_that_cannot_answer_a_golden_request_is_no_model(line):
    dataset = line.dataset([confirmed(number) | {"attributes": "1e9 0 0 0"} for number in range(120)])
    (line.root / "checkpoint").mkdir()
    (line.root / "checkpoint" / "weights.json").write_text(json.dumps(WEIGHTS))
    checkpoint = line.bench.publish(RefKind.CHECKPOINT, line.root / "checkpoint")
    work = partial(compression.run, encoders=None)
    with pytest.raises(PermanentError, match="does not answer the test row e"):
        line.bench.run(COMPRESS, work, line.recipe, checkpoint=checkpoint, dataset=dataset)


@pytest.mark.parametrize("spec", [BUILD_DATASET, FINE_TUNE, COMPRESS, PACKAGE, OFFLINE_GATE])
def test_a_result_of_another_task_is_never_taken_for_relevances(spec):
    other = Recipe(name="search", owner="tests")
    alike = other.model_copy(update={"task": "toy"})
    inputs = dict.fromkeys(spec.inputs, ())
    assert stage_key(spec, other, day(), inputs) != stage_key(spec, alike, day(), inputs)
