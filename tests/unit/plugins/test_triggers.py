import asyncio
from datetime import UTC, datetime

import pytest
from airflow.sdk.module_loading import import_string

from recflow.artifacts.ledger import EventKind, LedgerEvent
from recflow.protocols import JobSpec, JobState
from recflow.wiring import build_services
from recflow_airflow.triggers import JobTrigger, LedgerTrigger


@pytest.fixture
def services(tmp_path, monkeypatch):
    monkeypatch.setenv("RECFLOW_HOME", str(tmp_path))
    return build_services()


async def first(trigger):
    return await anext(aiter(trigger.run()))


def fire(trigger, seconds: float = 30):
    """What the trigger gives; TimeoutError when it goes on waiting."""
    return asyncio.run(asyncio.wait_for(first(trigger), seconds)).payload


@pytest.mark.parametrize("trigger", [JobTrigger("a-job"), LedgerTrigger("shop_search", seq=7, wait_s=30)])
def test_a_trigger_is_the_same_after_it_has_been_through_the_database(trigger):
    path, arguments = trigger.serialize()
    twin = import_string(path)(**arguments)
    assert twin.serialize() == trigger.serialize()


def test_a_job_that_has_ended_wakes_its_task(services):
    services.launcher.submit(JobSpec("a-job", ("true",)))
    assert fire(JobTrigger("a-job", poll_s=0.05)) == "a-job"


def test_a_job_whose_task_a_person_marked_or_cleared_is_ended(services):
    services.launcher.submit(JobSpec("a-job", ("sleep", "600")))
    asyncio.run(JobTrigger("a-job").on_kill())
    assert services.launcher.poll("a-job").state is not JobState.RUNNING


def test_a_job_that_nobody_has_heard_of_wakes_its_task_too(services):
    assert fire(JobTrigger("a-job", poll_s=0.05)) == "a-job"


def test_a_job_that_runs_keeps_its_task_waiting(services):
    services.launcher.submit(JobSpec("a-job", ("sleep", "60")))
    with pytest.raises(TimeoutError):
        fire(JobTrigger("a-job", poll_s=0.05), seconds=0.3)
    services.launcher.cancel("a-job")


def test_a_ledger_that_moves_wakes_the_release_at_once(services):
    entry = services.ledger.append("shop_search", LedgerEvent(kind=EventKind.FROZEN, reason="sale"), after=None)
    assert fire(LedgerTrigger("shop_search", seq=entry.seq - 1, wait_s=3600, poll_s=0.05)) == "shop_search"


def test_a_ledger_that_stands_still_wakes_the_release_when_it_is_due(services):
    entry = services.ledger.append("shop_search", LedgerEvent(kind=EventKind.FROZEN, reason="sale"), after=None)
    assert entry.at <= datetime.now(UTC)
    assert fire(LedgerTrigger("shop_search", seq=entry.seq, wait_s=0.2, poll_s=0.05)) == "shop_search"
    with pytest.raises(TimeoutError):
        fire(LedgerTrigger("shop_search", seq=entry.seq, wait_s=3600, poll_s=0.05), seconds=0.3)
