from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
from airflow.sdk.bases.operator import ExecutorSafeguard
from airflow.sdk.exceptions import AirflowRuntimeError, AirflowSkipException, DagRunTriggerException, ErrorType
from airflow.sdk.execution_time.comms import ErrorResponse

from fakes.fake_clock import FakeClock
from recflow.artifacts.ledger import Candidate, EventKind, LedgerEvent
from recflow.artifacts.refs import Ref, RefKind
from recflow.clients.ledger import ObjectLedger
from recflow.wiring import build_services
from recflow.wiring.provenance import made_with_now
from recflow_airflow.release_operators import (
    ClaimCandidateOperator,
    GoneRecipesOperator,
    ReleaseStepOperator,
    StartReleaseOperator,
    WatchOperator,
)
from recflow_airflow.stage_operators import (
    FAILURE_POLICY,
    PinParentOperator,
    RecordCandidateOperator,
    StageOperator,
    tell_person,
)

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


@pytest.mark.parametrize(
    "task",
    [
        StageOperator(stage="validate_partition", recipe="shop_search"),
        PinParentOperator(task_id="pin_parent", recipe="shop_search"),
    ],
)
def test_a_day_that_the_calendar_calls_closed_is_skipped_with_its_reason(tmp_path, task):
    recipe = RECIPE + "schedule: {closed: [{first: 2011-01-04, reason: stocktaking}]}\n"
    (tmp_path / "recipes" / "shop_search.yaml").write_text(recipe)
    with pytest.raises(AirflowSkipException, match="2011-01-04 is no day with events: stocktaking"):
        task.execute(context())


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


class AirflowOf:
    """What a task asks Airflow of another DAG."""

    def __init__(self, *, runs: int = 0, paused: bool = False, silent: bool = False) -> None:
        self.runs, self.paused, self.silent, self.id = runs, paused, silent, "an-id"

    def get_dr_count(self, *, dag_id, states):
        assert (dag_id, states) == ("shop_search__release", ["queued", "running"])
        return self.runs

    def get_dag(self, dag_id):
        if self.silent:
            raise AirflowRuntimeError(ErrorResponse(error=ErrorType.API_SERVER_ERROR))
        return SimpleNamespace(is_paused=self.paused)


def start_release(*, runs: int):
    task = StartReleaseOperator(task_id="start_release", recipe="shop_search")
    return task.execute({**context(), "ti": AirflowOf(runs=runs)})


def test_one_run_is_started_for_a_candidate_that_waits_without_one():
    with pytest.raises(AirflowSkipException, match="nothing to carry"):
        start_release(runs=0)
    services, now = build_services(), datetime(2011, 1, 5, tzinfo=UTC)
    package = Ref(kind=RefKind.PACKAGE, uri="file:///store/package", digest="a" * 64)
    candidate = Candidate(version="v1", package=package, interval_label="2011-01-04", trained_through=now)
    event = LedgerEvent(kind=EventKind.CANDIDATE_RECORDED, candidate=candidate)
    ObjectLedger(services.store, FakeClock(now)).append("shop_search", event, after=None)
    with pytest.raises(DagRunTriggerException) as started:
        start_release(runs=0)
    assert started.value.trigger_dag_id == "shop_search__release"
    assert started.value.note.startswith("v1 waits to be released")
    with pytest.raises(AirflowSkipException, match="but for the run that there is"):
        start_release(runs=1)


@pytest.mark.parametrize("airflow", [AirflowOf(paused=True), AirflowOf(silent=True)], ids=["paused", "not told"])
def test_the_watch_moves_nothing_forward_while_the_release_dag_is_paused_or_airflow_does_not_tell(airflow):
    record_candidate(build_services())
    task = WatchOperator(task_id="watch", recipe="shop_search")
    seen = task.execute({**context(), "ti": airflow})
    assert seen["advanced"] == "its release DAG is paused"


def paused_cards(airflow):
    task = WatchOperator(task_id="watch", recipe="shop_search")
    return [incident["runbook"] for incident in task.execute({**context(), "ti": airflow})["incidents"]]


def test_a_person_is_told_of_a_paused_release_dag_and_not_of_an_airflow_that_does_not_tell():
    record_candidate(build_services())
    assert paused_cards(AirflowOf(silent=True)) == []
    assert paused_cards(AirflowOf()) == []
    record_candidate(build_services(), "v2", day=5)
    assert paused_cards(AirflowOf(paused=True)) == ["release-paused"]


def record_candidate(services, version="v1", day=4):
    package = Ref(kind=RefKind.PACKAGE, uri="file:///store/package", digest="a" * 64)
    now, label = datetime(2011, 1, day + 1, tzinfo=UTC), f"2011-01-0{day}"
    candidate = Candidate(version=version, package=package, interval_label=label, trained_through=now)
    event = LedgerEvent(kind=EventKind.CANDIDATE_RECORDED, candidate=candidate)
    services.ledger.append("shop_search", event, after=services.ledger.head("shop_search"))


def broken(path):
    path.write_text(f"{RECIPE}colour: red\n")


@pytest.mark.parametrize("lose", [Path.unlink, broken], ids=["gone", "broken"])
def test_a_release_whose_recipe_is_gone_or_broken_is_told_and_nothing_of_it_is_lost(tmp_path, lose):
    path = tmp_path / "recipes" / "shop_search.yaml"
    WatchOperator(task_id="watch", recipe="shop_search").execute({**context(), "ti": AirflowOf(paused=True)})
    record_candidate(build_services())
    look = GoneRecipesOperator()
    assert look.execute(context()) == []
    lose(path)
    head = build_services().ledger.head("shop_search")
    for _ in range(2):
        assert look.execute(context()) == ["shop_search"]
    (card,) = (tmp_path / "alerts.jsonl").read_text().splitlines()
    assert '"runbook": "recipe-gone"' in card
    assert "v1 waits to be released, and nobody watches or moves it" in card
    path.write_text(RECIPE)
    assert look.execute(context()) == []
    assert build_services().ledger.head("shop_search") == head


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


def test_a_line_that_stands_still_trains_nothing_but_backfills():
    services, now = build_services(), datetime(2011, 1, 4, tzinfo=UTC)
    package = Ref(kind=RefKind.PACKAGE, uri="file:///store/package", digest="a" * 64)
    made_with = made_with_now(services, services.recipe("shop_search"))
    for night in ("2011-01-02", "2011-01-03"):
        candidate = Candidate(
            version="v1", package=package, interval_label=night, trained_through=now, made_with=made_with
        )
        event = LedgerEvent(kind=EventKind.CANDIDATE_REFUSED, candidate=candidate, changes=("training.epochs: 2 → 5",))
        services.ledger.append("shop_search", event, after=services.ledger.head("shop_search"))
    task = PinParentOperator(task_id="pin_parent", recipe="shop_search")
    with pytest.raises(AirflowSkipException, match="the line stands still: a change was refused on 2 nights"):
        task.execute(context())
    assert task.execute(context("backfill"))["numbers"] == {"version": "base"}
