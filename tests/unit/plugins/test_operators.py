from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from airflow.sdk.bases.operator import ExecutorSafeguard
from airflow.sdk.exceptions import AirflowSkipException

from recflow.artifacts.ledger import Candidate, EventKind, LedgerEvent
from recflow.artifacts.refs import Ref, RefKind
from recflow.wiring import build_services
from recflow_airflow.release_operators import ClaimCandidateOperator, ReleaseStepOperator, WatchOperator
from recflow_airflow.stage_operators import FAILURE_POLICY, RecordCandidateOperator, StageOperator, tell_person

RECIPE = "name: shop_search\nowner: search\n"


@pytest.fixture(autouse=True)
def installation(tmp_path, monkeypatch):
    """An empty installation with one recipe, in which operators may be called without a scheduler."""
    (tmp_path / "recipes").mkdir()
    (tmp_path / "recipes" / "shop_search.yaml").write_text(RECIPE)
    monkeypatch.setenv("RECFLOW_HOME", str(tmp_path))
    monkeypatch.setenv("RECFLOW_RECIPES", str(tmp_path / "recipes"))
    monkeypatch.setattr(ExecutorSafeguard, "test_mode", True)


def context(run_type: str = "scheduled"):
    return {"params": {"day": "2011-01-04"}, "dag_run": SimpleNamespace(run_type=run_type)}


def test_every_task_has_the_retry_policy_and_tells_a_person_also_when_it_is_mapped():
    plain = StageOperator(stage="package", recipe="shop_search")
    mapped = WatchOperator.partial(task_id="watch").expand(recipe=["shop_search"]).unmap({"recipe": "shop_search"})
    for task in (plain, mapped):
        assert task.retry_policy is FAILURE_POLICY
        assert list(task.on_failure_callback) == [tell_person]


def test_a_backfill_records_no_candidate_and_is_skipped_so_that_it_wakes_no_release():
    task = RecordCandidateOperator(refs={}, recipe="shop_search")
    with pytest.raises(AirflowSkipException, match="a backfill releases nothing"):
        task.execute(context("backfill"))


def test_a_release_run_without_a_candidate_is_skipped_to_its_end():
    with pytest.raises(AirflowSkipException, match="no candidate is waiting"):
        claim_candidate()
    step = ReleaseStepOperator(task_id="shadow", recipe="shop_search", release_id=None, states=["shadow"])
    with pytest.raises(AirflowSkipException, match="no release is open"):
        step.execute(context())
    assert step.trigger_rule == "none_failed"


def claim_candidate():
    return ClaimCandidateOperator(task_id="claim", recipe="shop_search").execute(context())


def test_a_candidate_that_a_freeze_keeps_waiting_is_said():
    services, now = build_services(), datetime(2011, 1, 5, tzinfo=UTC)
    package = Ref(kind=RefKind.PACKAGE, uri="file:///store/package", digest="a" * 64)
    candidate = Candidate(version="v1", package=package, interval_label="2011-01-04", trained_through=now)
    event = LedgerEvent(kind=EventKind.CANDIDATE_RECORDED, candidate=candidate)
    head = services.ledger.append("shop_search", event, after=None)
    frozen = services.ledger.append("shop_search", LedgerEvent(kind=EventKind.FROZEN, reason="sale"), after=head)
    with pytest.raises(AirflowSkipException, match="v1 waits: frozen: sale"):
        claim_candidate()
    services.ledger.append("shop_search", LedgerEvent(kind=EventKind.UNFROZEN), after=frozen)
    assert claim_candidate() == "release-4-v1"
