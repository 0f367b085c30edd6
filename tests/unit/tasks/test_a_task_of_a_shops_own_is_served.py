"""The toy task of tests/fakes is served, checked, probed, mirrored and released without a line of src that knows it."""

import numpy as np
import pytest

from fakes.relevance import SERVING
from fakes.tiny_model import write_package
from fakes.toy_task import OTHER_WEIGHTS, TASK, installed, write_toy_package
from fakes.toy_world import LINE, ToyGateway, ToyReleases, toy_recipe
from recflow.artifacts.decisions import Verdict
from recflow.artifacts.ledger import ReleaseState as S
from recflow.artifacts.plans import InfraLimits
from recflow.artifacts.refs import RefKind
from recflow.config.sections.serving import PackagingSection
from recflow.errors import BadConfiguration, ModelWontLoad
from recflow.gateway.service import Line
from recflow.monitoring.probes import probe
from recflow.packaging.run import lay_out
from recflow.rollout.infra_check import check
from recflow.rollout.operations import adopt
from recflow.tasks.base import read_signature

OLD, NEW = "20110101-aaaaaaaa", "20110102-bbbbbbbb"


@pytest.fixture(autouse=True)
def _installed(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(installed(tmp_path / "site"))


@pytest.fixture
def gateway(tmp_path):
    return ToyGateway(tmp_path)


@pytest.fixture
def world(tmp_path):
    return ToyReleases(tmp_path / "world")


def at(state):
    return lambda ledger: ledger.release is not None and ledger.release.state is state


# -------------------------------------------------------------------------------------------------------- the gateway


def test_a_request_is_answered_in_the_tasks_own_words_and_leaves_an_exposure_without_items(gateway):
    told = gateway.classify(0.0, 5.0, 0.0, 0.0).json()
    assert (told["class"], told["version"], told["fallback"]) == (1, "v1", "")
    shown = gateway.exposures[0]
    assert (shown.answer, shown.items, shown.query, shown.served_version) == ('{"class": 1}', (), "", "v1")


def test_the_shadows_answer_is_compared_with_what_was_shown_and_is_shown_to_nobody(gateway):
    gateway.classify(0.0, 5.0, 0.0, 0.0)
    gateway.classify(5.0, 0.0, 0.0, 0.0)
    assert [(found.tau, found.length, found.items) for found in gateway.comparisons] == [(1.0, 0, ()), (0.0, 0, ())]
    assert [shown.answer for shown in gateway.exposures if shown.marked == "shadow"] == ["", ""]


def test_a_request_that_breaks_the_tasks_limit_is_refused_with_its_code(gateway):
    response = gateway.classify(1.0)
    assert (response.status_code, response.json()["code"]) == (422, "wrong_length")


def test_without_a_model_the_task_says_what_is_answered_and_under_which_name(gateway):
    gateway.server.broken.add("v1")
    told = gateway.classify(0.0, 5.0, 0.0, 0.0).json()
    assert (told["class"], told["version"], told["fallback"]) == (0, "usual", "unavailable")


def test_a_request_that_the_scorer_cannot_read_falls_back_alone(gateway):
    bodies = [{"user_id": "u-1", "features": [number, 0, 0, 0]} for number in (1e9, 1)]
    answers = gateway.ask(*(("POST", f"/v1/{LINE}/classify", body) for body in bodies))
    assert [answer.json()["version"] for answer in answers] == ["usual", "v1"]


def test_each_line_is_asked_at_its_tasks_endpoint_and_at_no_other(gateway):
    other, wrong, interface = gateway.ask(
        ("POST", "/v1/shop/rank", {"user_id": "u-1", "query": "tea", "items": [{"id": "1", "title": "tea"}]}),
        ("POST", "/v1/shop/classify", {"user_id": "u-1", "features": [1, 1, 1, 1]}),
        ("GET", "/openapi.json", None),
    )
    assert (other.status_code, wrong.json()["code"]) == (200, "unknown_route")
    paths = interface.json()["paths"]
    schema = paths["/v1/{route}/classify"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert "features" in schema["properties"]
    assert paths["/v1/{route}/classify"]["post"]["description"].startswith("Tell the class of four numbers.")
    assert "/v1/{route}/rank" in paths


def test_two_lines_at_one_route_are_refused(tmp_path):
    from recflow.gateway.app import create_app
    from recflow.gateway.service import Options

    lines = [Line(toy_recipe(LINE), TASK.serving)] * 2
    with pytest.raises(BadConfiguration, match="two lines would be served at one route") as refusal:
        create_app(lines, None, Options(tmp_path))
    assert refusal.value.seen == LINE


# ------------------------------------------------------------------------------------- infra check, probe and releases


def judge(world, package):
    server, clock = world.true_server, world.clock
    return check(server, "shop", NEW, package, serving=TASK.serving, baseline=OLD, limits=InfraLimits(), clock=clock)


def rules(decision, verdict):
    return {finding.rule for finding in decision.findings if finding.verdict is verdict}


def test_a_sound_candidate_passes_the_infra_check_which_asks_for_no_sizes_and_no_order(world, tmp_path):
    world.true_server.load("shop", OLD, write_toy_package(tmp_path / "old", weights=OTHER_WEIGHTS))
    decision = judge(world, write_toy_package(tmp_path / "new"))
    assert decision.verdict is Verdict.PASS
    assert rules(decision, Verdict.PASS) == {"load", "golden_1", "p50_ms", "p95_ms", "memory_mb", "score_shift"}


def test_a_candidate_that_answers_other_classes_than_its_golden_ones_fails_the_infra_check(world, tmp_path):
    package = write_toy_package(tmp_path / "new")
    (package / "1" / "weights.json").write_text(str([list(row) for row in OTHER_WEIGHTS]))
    assert rules(judge(world, package), Verdict.FAIL) == {"golden_1"}


def test_a_candidate_that_answers_in_another_type_fails_the_infra_check(world, tmp_path):
    package = write_toy_package(tmp_path / "new")
    rule = package / "1" / "tensors.py"
    rule.write_text(rule.read_text().replace("np.int64", "np.float32"))
    decision = judge(world, package)
    assert "was not answered as the signature says" in decision.reasons[0]


def test_a_probe_counts_answers_that_are_not_the_golden_ones(world, tmp_path):
    sound, other = write_toy_package(tmp_path / "sound"), write_toy_package(tmp_path / "other", weights=OTHER_WEIGHTS)
    recipe = toy_recipe("shop")
    ref = world.publish(RefKind.PACKAGE, 1, sound)
    for version, folder in ((OLD, sound), (NEW, other)):
        world.true_server.load("shop", version, folder)
    found = [
        probe(world.true_server, world.artifacts, world.clock, recipe, TASK.serving, version, ref)
        for version in (OLD, NEW)
    ]
    assert [(each.asked, each.wrong > 0, each.failure) for each in found] == [(3, False, ""), (3, True, "")]


def test_releases_of_the_line_go_from_their_first_golden_traffic_to_stable(world):
    first = world.stable(1)
    second = world.record(2)
    world.play(at(S.SHADOW))
    world.compare([1.0] * 39 + [0.0], length=0, query="")
    reason = world.play(at(S.CANARY)).release.reason
    assert reason == "share of equal classes is 0.97 over 40 requests (limit 0.30)"
    state = world.play()
    assert (state.stable.version, state.previous.version) == (second, first)


def test_a_refresh_that_answers_otherwise_is_held_before_anybody_meets_it(world):
    world.stable(1)
    world.record(2)
    world.play(at(S.SHADOW))
    world.compare([0.0] * 40, length=0, query="")
    reason = world.play(at(S.HELD)).release.reason
    assert "the candidate answers otherwise than stable: share of equal classes is 0.00 over 40 requests" in reason


# ---------------------------------------------------------------------------------------- signatures that do not match


def test_a_package_of_another_task_is_refused_at_load_with_both_signatures(world, tmp_path):
    ref = world.publish(RefKind.PACKAGE, 1, write_package(tmp_path / "relevance"))
    with pytest.raises(ModelWontLoad, match="other tensors than its line's task") as refusal:
        adopt(world.recipe, ref, world, person="ada")
    assert (refusal.value.expected, refusal.value.seen) == (
        "FEATURES FP32 [4] to CLASS INT64 [1]",
        "QUERY BYTES [1], TITLE BYTES [items], DESCRIPTION BYTES [items] to SCORE FP32 [items]",
    )
    assert world.loaded == ()


def test_a_candidate_of_another_task_is_rejected_by_the_infra_check_and_never_loaded(world, tmp_path):
    decision = judge(world, write_package(tmp_path / "relevance"))
    assert rules(decision, Verdict.FAIL) == {"load"}
    assert decision.numbers["expected"] == "FEATURES FP32 [4] to CLASS INT64 [1]"
    assert decision.numbers["seen"].startswith("QUERY BYTES [1], TITLE BYTES [items]")
    assert world.loaded == ()


def test_inputs_that_the_model_does_not_take_are_refused_before_they_are_sent(world, tmp_path):
    world.true_server.load("shop", OLD, write_toy_package(tmp_path / "old"))
    with pytest.raises(BadConfiguration, match="other tensors than it takes") as refusal:
        world.true_server.infer("shop", OLD, {"FEATURES": np.ones(3, dtype=np.float32)}, timeout_s=1)
    assert (refusal.value.expected, refusal.value.seen) == ("FEATURES FP32 [4]", "FEATURES FP32 [3]")


def test_a_package_states_its_tasks_signature(tmp_path):
    assert read_signature(write_toy_package(tmp_path / "toy")) == TASK.serving.signature
    assert read_signature(write_package(tmp_path / "relevance")) == SERVING.signature


def test_post_processing_of_answers_that_are_no_order_is_refused(tmp_path):
    section = PackagingSection(post_processing="p.py", post_processing_code="def process(scores):\n    return scores\n")
    write_toy_package(tmp_path / "package")
    with pytest.raises(BadConfiguration, match=r"post-processing p\.py cannot be packaged"):
        lay_out(tmp_path / "package-model", section, TASK.serving, tmp_path / "again")
