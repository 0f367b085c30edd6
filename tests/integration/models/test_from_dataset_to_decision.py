import json
import shutil

import numpy as np
import pytest

from fakes.relevance import SERVING
from fakes.small_models import shop_rows, tiny_base
from fakes.stage_bench import DAY
from fakes.trained_line import TRAINING, small_recipe, small_splits
from recflow.artifacts.decisions import Decision, Verdict
from recflow.artifacts.parents import Parent
from recflow.artifacts.refs import RefKind
from recflow.compression.scoring import Scorer
from recflow.config.sections.training import TrainingSection
from recflow.config.settings import Settings
from recflow.domain.golden import read_golden
from recflow.domain.judged import read_judged
from recflow.errors import ArtifactCorrupt, BadConfiguration, BadData, PermanentError
from recflow.evaluation.packaged import load_package, open_package
from recflow.rollout.changes import made_with
from recflow.stages import StageContext
from recflow.tasks.relevance import tensors
from recflow.training.encoder import Encoders
from recflow.training.features import feature_names, features_of, texts_of
from recflow.training.run import starting_folder
from recflow.wiring import Services
from recflow.wiring.provenance import made_with_now


@pytest.fixture
def folder(trained):
    return trained.bench.artifacts.fetch


@pytest.fixture(scope="module")
def package(trained):
    return trained.pack(trained.model)


@pytest.fixture(scope="module")
def first(trained, package):
    return trained.judge(package)


@pytest.fixture(scope="module")
def tiny(trained):
    """A checkpoint of random weights: enough for what does not depend on what the model knows."""
    folder = trained.bench.root / "tiny-checkpoint"
    tiny_base(folder / "encoder")
    weights = dict.fromkeys(feature_names(["title"]), 0.0) | {"cosine_title": 1.0}
    (folder / "scorer.json").write_text(json.dumps({"format": 1, "max_tokens": 32, "weights": weights}))
    return trained.bench.publish(RefKind.CHECKPOINT, folder)


def decision_of(trained, ref):
    return Decision.model_validate_json((trained.bench.artifacts.fetch(ref) / "decision.json").read_bytes())


class TestCheckpoint:
    def test_holds_safetensors_a_tokenizer_and_the_blend_and_nothing_pickled(self, trained, folder):
        files = {path.name for path in folder(trained.checkpoint).rglob("*") if path.is_file()}
        assert {"model.safetensors", "tokenizer.json", "config.json", "scorer.json", "training.json"} <= files
        assert not [name for name in files if name.endswith((".bin", ".pt", ".pkl", ".pth"))]

    def test_its_numbers_are_those_of_the_best_point_of_its_curve(self, trained, folder):
        report = json.loads((folder(trained.checkpoint) / "training.json").read_text())
        assert report["gang"] == 1
        best = max(report["curve"], key=lambda point: point["ndcg"])
        assert trained.checkpoint.numbers["validation_ndcg"] == pytest.approx(best["ndcg"], abs=1e-4)

    def test_mlflow_knows_the_run_with_its_parameters_and_curve(self, trained):
        from mlflow.tracking import MlflowClient

        client = MlflowClient(tracking_uri=trained.mlflow_uri, registry_uri=trained.mlflow_uri)
        (run,) = client.search_runs([client.get_experiment_by_name("search").experiment_id], "", max_results=1)
        assert run.data.params["trained_layers"] == "1"
        assert client.get_metric_history(run.info.run_id, "curve_ndcg")

    def test_the_scratch_of_a_finished_run_is_gone(self, trained):
        assert not list((trained.bench.root / "scratch").iterdir())

    def test_a_warm_start_begins_where_the_parent_ended(self, trained, folder):
        parent = Parent(version="1", checkpoint=trained.checkpoint)
        still = small_recipe(training={**small_recipe().training.model_dump(), "learning_rate": 1e-12, "base_share": 0})
        again = trained.train(trained.dataset, parent=parent, recipe=still)
        texts = ["red shoe", "blue lamp 7"]
        first, second = (Encoders().encode(folder(ref) / "encoder", texts, 32) for ref in (trained.checkpoint, again))
        assert np.allclose(first, second, atol=1e-5)


class TestModel:
    def test_it_is_smaller_and_its_numbers_say_by_how_much(self, trained):
        numbers = trained.model.numbers
        assert numbers["size_mb"] < numbers["size_mb_before"]
        assert numbers["p50_ms"] > 0
        assert numbers["agreement"] >= 0.99

    def test_features_in_the_model_equal_those_of_training(self, trained, folder):
        checkpoint, queries = folder(trained.checkpoint), read_judged(folder(trained.dataset), "test")[:5]
        texts = texts_of(queries, ["title"])
        vectors = dict(zip(texts, Encoders().encode(checkpoint / "encoder", texts, 32), strict=True))
        scorer = Scorer(str(folder(trained.model)))
        assert list(scorer._weights) == feature_names(["title"])
        for query in queries:
            served = scorer.features(query.query, query.titles, query.descriptions)
            trained_features = features_of(query, ["title"], vectors)
            assert np.array_equal(served[:, 1:], trained_features[:, 1:])
            assert np.allclose(served[:, 0], trained_features[:, 0], atol=0.05)

    def test_its_golden_requests_are_answered_as_written(self, folder, package):
        scorer = load_package(folder(package)).scorer
        for golden in read_golden(folder(package), SERVING.golden):
            scores = scorer.score_many([tensors.request(golden.inputs)])[0]
            assert scores == pytest.approx(golden.outputs["SCORE"].tolist(), abs=1e-5)

    def test_golden_requests_hold_the_odd_texts(self, trained, folder):
        golden = read_golden(folder(trained.model), SERVING.golden)
        queries = {tensors.request(each.inputs)[0] for each in golden}
        assert "" in queries
        assert any("耳" in query for query in queries)
        assert any(len(query) > 500 for query in queries)

    def test_the_order_of_items_and_of_requests_changes_no_score(self, trained, folder):
        scorer = Scorer(str(folder(trained.model)), cached_texts=0)
        titles = ["red shoe 1", "blue shoe 2 with a much longer title than the other", "lamp"]
        one = scorer.score("red shoe", titles, [""] * 3)
        two, three = scorer.score_many([("tent", ["a"], ["b"]), ("red shoe", titles[::-1], [""] * 3)])
        assert three[::-1] == pytest.approx(one, abs=1e-5)
        assert len(two) == 1

    def test_a_request_without_items_has_no_scores(self, trained, folder):
        assert Scorer(str(folder(trained.model))).score_many([("red shoe", [], []), ("x", ["y"], [""])])[0] == []

    def test_the_cache_forgets_what_was_used_longest_ago(self, trained, folder):
        scorer = Scorer(str(folder(trained.model)), cached_texts=4)
        for number in range(20):
            scorer.score("red shoe", [f"shoe {number}"], [""])
        assert len(scorer._cache) == 4
        assert "red shoe" in scorer._cache

    def test_a_ladder_that_nothing_holds_is_a_permanent_error(self, trained, tiny):
        strict = small_recipe(compression={"fp32_atol": 1e-30, "variants": ["fp32"]})
        with pytest.raises(PermanentError, match="exported model differs"):
            trained.compress(tiny, recipe=strict)

    def test_when_int8_does_not_agree_fp32_is_kept_with_the_reason(self, trained, tiny):
        strict = small_recipe(compression={"min_agreement": 1.0, "variants": ["fp32", "int8"]})
        numbers = trained.compress(tiny, recipe=strict).numbers
        assert numbers["variant"] == "fp32"
        assert "keep their order" in numbers["refused"]["int8"]


class TestProvenance:
    def test_a_package_was_made_with_what_one_made_now_would_be(self, trained, package, tmp_path):
        services = Services(Settings(home=tmp_path))
        assert made_with(package, trained.bench.artifacts) == made_with_now(services, small_recipe())
        other = small_recipe(compression={"min_agreement": 0.98})
        assert made_with(package, trained.bench.artifacts) != made_with_now(services, other)


class TestDecision:
    def test_the_first_model_is_judged_by_its_floors(self, trained, first):
        decision = decision_of(trained, first)
        assert decision.verdict is Verdict.PASS
        assert any("first model" in reason for reason in decision.reasons)

    def test_the_reference_carries_the_table_for_people(self, first):
        assert first.numbers["verdict"] == "PASS"
        for rival in ("candidate", "bm25", "untrained"):
            mean, low, high = first.numbers[f"ndcg_{rival}"]
            assert 0 <= low <= mean <= high <= 1

    def test_a_model_is_not_inferior_to_itself(self, trained, package):
        decision = decision_of(trained, trained.judge(package, parent=Parent(version="1", package=package)))
        assert decision.verdict is Verdict.PASS
        assert decision.numbers["ndcg_change"] == [0, 0, 0]

    def test_a_candidate_trained_on_shuffled_labels_fails(self, trained, package):
        shuffled = trained.publish_dataset("shuffled", small_splits(shuffled=True))
        candidate = trained.pack(trained.compress(trained.train(shuffled)))
        decision = decision_of(trained, trained.judge(candidate, parent=Parent(version="1", package=package)))
        assert decision.verdict is Verdict.FAIL

    def test_the_plot_is_a_picture(self, folder, first):
        assert (folder(first) / "findings.png").read_bytes().startswith(b"\x89PNG")


class TestBadInput:
    def test_a_checkpoint_with_one_flipped_byte_is_corrupt(self, trained, tmp_path):
        bench = trained.bench
        prefix = trained.checkpoint.uri.removeprefix(f"{bench.store.root}/")
        key = next(key for key in bench.store.list(prefix) if key.endswith("model.safetensors"))
        whole = bench.store.objects[key]
        broken = bytearray(whole)
        broken[len(broken) // 2] ^= 1
        bench.store.objects[key] = bytes(broken)
        try:
            with pytest.raises(ArtifactCorrupt, match=r"model\.safetensors"):
                type(bench.artifacts)(bench.store, tmp_path / "cache").fetch(trained.checkpoint)
        finally:
            bench.store.objects[key] = whole

    def test_a_corrupt_onnx_file_is_a_clear_error(self, folder, package, tmp_path):
        broken = shutil.copytree(folder(package), tmp_path / "package")
        (broken / "1" / "model.onnx").write_bytes(b"no onnx")
        with pytest.raises(PermanentError, match="does not load"):
            load_package(broken)

    def test_a_package_is_opened_only_after_its_digests_held(self, trained, package, tmp_path):
        artifacts = type(trained.bench.artifacts)(trained.bench.store, tmp_path / "cache")
        (artifacts.fetch(package) / "1" / "scoring.py").write_text("raise SystemExit('this must never run')")
        with pytest.raises(ArtifactCorrupt, match=r"scoring\.py"):
            open_package(artifacts, package)

    def test_an_empty_train_split_is_bad_data(self, trained):
        empty = trained.publish_dataset("empty", {**small_splits(), "train": []})
        with pytest.raises(BadData, match="train"):
            trained.train(empty)

    def test_a_day_without_a_validation_query_still_trains(self, trained):
        small = trained.publish_dataset("small", {**small_splits(), "validation": []})
        assert trained.train(small).numbers["steps"] > 0

    def test_another_base_model_is_a_cold_start(self, trained, tmp_path):
        other = tmp_path / "other-base"
        shutil.copytree(Encoders().base_folder(TrainingSection().base_model), other)
        recipe = small_recipe(training={**TRAINING, "base_model": str(other)})
        warm = Parent(checkpoint=trained.checkpoint)
        inputs = {"parent": (trained.bench.parent(warm),)}
        context = StageContext(recipe, DAY, inputs, trained.bench.artifacts, tmp_path, "key")
        assert starting_folder(context, Encoders()) == other

    def test_labels_that_are_all_equal_are_bad_data(self, trained):
        flat = [{**row, "grade": 2.0} for row in shop_rows(16)]
        with pytest.raises(BadData, match="different grades"):
            trained.train(trained.publish_dataset("flat", {**small_splits(), "train": flat}))

    def test_a_base_model_that_is_not_installed_is_bad_configuration(self, trained):
        recipe = small_recipe(training={"base_model": "no-such-model"})
        with pytest.raises(BadConfiguration, match="no-such-model"):
            trained.train(trained.dataset, recipe=recipe)

    def test_weights_that_cannot_be_read_are_a_permanent_error(self, folder, trained, tmp_path):
        broken = shutil.copytree(folder(trained.checkpoint) / "encoder", tmp_path / "encoder")
        (broken / "model.safetensors").write_bytes(b"\x00" * 64)
        with pytest.raises(PermanentError, match="cannot be loaded"):
            Encoders().load(broken)
