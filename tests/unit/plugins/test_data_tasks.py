"""The tasks of a day's data: they wait for jobs, and what is told of a refused day is the job's own word."""

import asyncio
import json
import sys
from types import SimpleNamespace

import pytest
from airflow.sdk.bases.operator import ExecutorSafeguard
from airflow.sdk.exceptions import AirflowSkipException, TaskDeferred

from fakes.fake_launcher import FakeLauncher
from recflow.cli.main import run
from recflow.data.heads import HeadHistory
from recflow.data.pins import deliver_pinned
from recflow.data.sources import open_source
from recflow.data.spec import BUILD_DATASET, VALIDATE_PARTITION
from recflow.errors import BadData, JobInterrupted, JobTooLong, LedgerConflict
from recflow.stages import StageOutput
from recflow.wiring import STAGES, Services, Stage, build_services
from recflow_airflow.stage_operators import RedeliveredOperator, StageOperator
from recflow_airflow.triggers import JobTrigger

RECIPE = """
name: shop_search
owner: search
data:
  source:
    adapter: tables
    events: [{files: ["{date:%Y-%m-%d}.csv"], columns: {event_id: id}}]
"""
AGAIN = "2011-01-0{} was validated again: 2 rows"


def keep(context):
    """What validation comes to here: a day is kept as it was delivered, and one with a row `bad` is refused."""
    pinned = context.one("source")
    source = open_source(context.recipe, pinned.uri)
    delivery = deliver_pinned(source, pinned, context.interval, context.output)
    if b"bad" in delivery.files[0].read_bytes():
        raise BadData(f"{context.interval.label} has a bad row", expected="none", seen="one")
    return StageOutput(numbers={"rows": delivery.records})


@pytest.fixture
def launcher(tmp_path, monkeypatch):
    """Each job runs at once in this process, by the command that it would be started with."""
    monkeypatch.setenv("RECFLOW_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("RECFLOW_RECIPES", str(tmp_path))
    monkeypatch.setenv("RECFLOW_SOURCE_ROOT", str(tmp_path))
    monkeypatch.setattr(ExecutorSafeguard, "test_mode", True)
    monkeypatch.setitem(sys.modules, "keeper", SimpleNamespace(run=keep))
    monkeypatch.setitem(STAGES, "validate_partition", Stage(VALIDATE_PARTITION, "keeper"))
    launcher = FakeLauncher(lambda spec: run(spec.command[3:]))
    monkeypatch.setattr(Services, "launcher", launcher)
    (tmp_path / "shop_search.yaml").write_text(RECIPE)
    return launcher


@pytest.fixture
def deliver(launcher, tmp_path):
    """Write the rows of a day of January."""

    def write(number, *rows):
        (tmp_path / f"2011-01-{number:02}.csv").write_text("\n".join(("id", *rows)))

    for number in range(1, 5):
        write(number, f"row{number}")
    return write


def context(number, *, run_type="scheduled", try_number=1):
    tries = SimpleNamespace(try_number=try_number, max_tries=3)
    day = {"day": f"2011-01-{number:02}"}
    return {"params": day, "dag_run": SimpleNamespace(run_type=run_type), "ti": tries}


def finish(task, told):
    """What the task gives back after all its waits, as Airflow would carry it through them."""

    async def first(trigger):
        return await anext(aiter(trigger.run()))

    try:
        return task.execute(told)
    except TaskDeferred as wait:
        deferred = wait
    while True:
        event = asyncio.run(first(deferred.trigger)).payload
        arguments = json.loads(json.dumps(deferred.kwargs or {}))
        try:
            return getattr(task, deferred.method_name)(told, event=event, **arguments)
        except TaskDeferred as wait:
            deferred = wait


def validate(number, **about):
    return finish(StageOperator(stage="validate_partition", recipe="shop_search"), context(number, **about))


def look_back(number, **about):
    return finish(RedeliveredOperator(recipe="shop_search"), context(number, **about))


def heads(number):
    return HeadHistory(build_services().store, "shop_search").history(f"2011-01-{number:02}")


def cards(tmp_path):
    path = tmp_path / "home" / "alerts.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_both_data_stages_are_jobs():
    assert VALIDATE_PARTITION.heavy
    assert BUILD_DATASET.heavy


def test_a_day_is_validated_by_a_job_whose_partition_becomes_the_current_one_once(launcher, deliver):
    task = StageOperator(stage="validate_partition", recipe="shop_search")
    with pytest.raises(TaskDeferred) as waits:
        task.execute(context(1))
    assert isinstance(waits.value.trigger, JobTrigger)
    given = task.collect(context(1), event=waits.value.trigger.job_name)
    assert [head.partition.digest for head in heads(1)] == [given["digest"]]
    assert validate(1) == given, "and it is found again without a job"
    assert (len(launcher.submitted), len(heads(1))) == (1, 1)


def test_two_tasks_of_one_day_wait_for_one_job(launcher, deliver):
    launcher.work = None
    task = StageOperator(stage="validate_partition", recipe="shop_search")
    waits = []
    for _ in range(2):
        with pytest.raises(TaskDeferred) as wait:
            task.execute(context(1))
        waits.append(wait.value.trigger.job_name)
    assert waits[0] == waits[1]
    (job,) = launcher.submitted
    launcher.end(job.name, run(job.command[3:]))
    assert task.collect(context(1), event=waits[0]) == task.collect(context(1), event=waits[1])


def test_a_refused_day_says_in_the_tasks_own_error_what_its_job_said(launcher, deliver):
    deliver(1, "bad")
    with pytest.raises(BadData) as raised:
        validate(1)
    assert raised.value.parts[:2] == ("2011-01-01 has a bad row.", "Expected none, seen one.")
    assert raised.value.parts[-1] == "Runbook: docs/runbooks/bad-data.md"
    assert raised.value.__notes__[0].startswith("run it by hand: ")
    assert heads(1) == []


def test_a_job_of_a_day_that_was_killed_is_tried_again_and_one_that_took_too_long_is_not(launcher, deliver):
    launcher.work = lambda _: -9
    with pytest.raises(JobInterrupted):
        validate(1)
    launcher.work = lambda _: 124
    with pytest.raises(JobTooLong):
        validate(1)


def test_a_day_that_a_backfill_records_at_the_same_moment_is_tried_again_and_then_current(
    launcher, deliver, monkeypatch
):
    validate(1)
    deliver(1, "another")
    current = HeadHistory.current
    monkeypatch.setattr(HeadHistory, "current", lambda *_: None)
    with pytest.raises(LedgerConflict, match="became current just now"):
        validate(1)
    monkeypatch.setattr(HeadHistory, "current", current)
    assert validate(1)["digest"] == heads(1)[-1].partition.digest
    assert len(launcher.submitted) == 2, "what was computed is found"


class TestDeliveredAgain:
    @pytest.fixture(autouse=True)
    def kept(self, deliver):
        """Three days have their partitions; the fourth is today."""
        for number in range(1, 4):
            validate(number)

    def test_days_that_came_again_are_validated_again_and_no_others(self, launcher, deliver):
        deliver(1, "row1", "late")
        deliver(3, "row3", "late")
        assert look_back(4) == [AGAIN.format(1), AGAIN.format(3)]
        assert [len(heads(number)) for number in range(1, 4)] == [2, 1, 2]
        assert heads(1)[-1].reason.startswith("delivered again: ")
        assert look_back(4) == []

    def test_one_that_is_refused_leaves_the_old_partition_is_told_and_stops_nothing(self, launcher, deliver, tmp_path):
        deliver(1, "bad")
        deliver(2, "row2", "late")
        refused = "2011-01-01 keeps the partition before: 2011-01-01 has a bad row"
        assert look_back(4) == [refused, AGAIN.format(2)]
        assert [len(heads(number)) for number in (1, 2)] == [1, 2]
        (card,) = cards(tmp_path)
        assert card["title"] == "shop_search: 2011-01-01 was delivered again and is not taken"
        assert "2011-01-01 has a bad row" in card["cause"]
        assert card["runbook"] == "bad-data"

    def test_one_that_is_gone_from_its_source_is_told_keeps_its_partition_and_starts_no_job(self, launcher, tmp_path):
        (tmp_path / "2011-01-02.csv").unlink()
        jobs = len(launcher.submitted)
        assert look_back(4) == ["2011-01-02 is gone from its source: its partition stays"]
        assert (len(launcher.submitted), len(heads(2))) == (jobs, 1)

    def test_a_job_that_is_lost_is_tried_again_and_at_last_told_without_stopping_the_run(
        self, launcher, deliver, tmp_path
    ):
        deliver(1, "row1", "late")
        work, launcher.work = launcher.work, lambda _: -9
        with pytest.raises(JobInterrupted):
            look_back(4, try_number=3)
        assert cards(tmp_path) == []
        assert look_back(4, try_number=4)[0].startswith("2011-01-01 keeps the partition before: job ")
        assert [card["runbook"] for card in cards(tmp_path)] == ["job-interrupted"]
        launcher.work = work
        assert look_back(4) == [AGAIN.format(1)]

    def test_a_look_that_fails_is_told_and_stops_nothing(self, launcher, deliver, tmp_path):
        partition = heads(2)[-1].partition
        for manifest in (tmp_path / "home" / "store").rglob(f"{partition.digest}.json"):
            manifest.unlink()
        deliver(1, "row1", "late")
        (told,) = look_back(4)
        assert told.startswith("the days before were not looked at: ")
        assert [card["title"] for card in cards(tmp_path)] == ["shop_search: the days before were not looked at"]

    def test_a_backfill_and_a_closed_day_look_at_nothing(self, launcher, deliver, tmp_path):
        deliver(1, "row1", "late")
        assert look_back(4, run_type="backfill") == []
        (tmp_path / "shop_search.yaml").write_text(f"{RECIPE}schedule: {{closed: [{{first: 2011-01-04}}]}}\n")
        with pytest.raises(AirflowSkipException):
            look_back(4)

    def test_a_recipe_may_leave_the_days_before_alone(self, deliver, tmp_path):
        deliver(1, "row1", "late")
        (tmp_path / "shop_search.yaml").write_text(f"{RECIPE}schedule: {{lookback_days: 0}}\n")
        assert look_back(4) == []
        (tmp_path / "shop_search.yaml").write_text(f"{RECIPE}schedule: {{lookback_days: 2}}\n")
        assert look_back(4) == []
        (tmp_path / "shop_search.yaml").write_text(f"{RECIPE}schedule: {{lookback_days: 3}}\n")
        assert look_back(4) == [AGAIN.format(1)]
