import json
import logging
from datetime import timedelta
from types import SimpleNamespace

import pytest
from airflow.sdk import RetryAction

from recflow import errors
from recflow_airflow.failures import FAILURE_POLICY, explained, tell_person


def decide(error: BaseException):
    return FAILURE_POLICY.evaluate(error, try_number=1, max_tries=3)


def kinds(parent: type[errors.RecflowError]) -> list[type[errors.RecflowError]]:
    return [parent, *(kind for child in parent.__subclasses__() for kind in kinds(child))]


@pytest.mark.parametrize("kind", kinds(errors.PermanentError))
def test_a_permanent_error_is_not_tried_again(kind):
    assert decide(kind("the day is broken")).action is RetryAction.FAIL


@pytest.mark.parametrize("kind", kinds(errors.TemporaryError))
def test_a_temporary_error_is_tried_again_after_a_while(kind):
    decision = decide(kind("the store did not answer"))
    assert decision.action is RetryAction.RETRY
    assert decision.retry_delay >= timedelta(seconds=1)


def test_a_bug_keeps_the_tasks_own_number_of_tries():
    assert decide(ValueError("no error of ours")).action is RetryAction.DEFAULT


def test_a_failure_is_written_sentence_by_sentence_and_ends_with_how_to_repeat_it(caplog):
    error = errors.BadData("2011-01-04.jsonl is empty", expected="50 rows", seen="0")
    error.add_note("run it by hand: recflow stage validate_partition")

    @explained
    def execute(operator):
        raise error

    with caplog.at_level(logging.ERROR), pytest.raises(errors.BadData):
        execute(SimpleNamespace(log=logging.getLogger("task")))
    assert [record.getMessage() for record in caplog.records] == [
        "2011-01-04.jsonl is empty.",
        "Expected 50 rows, seen 0.",
        "Next: nothing more is made of this interval; the stable model keeps serving.",
        "Do: mend the source for this interval, then clear the task.",
        "Runbook: docs/runbooks/bad-data.md",
        "run it by hand: recflow stage validate_partition",
    ]


@pytest.mark.parametrize(("error", "runbook"), [
    (errors.BadData("the day is empty"), "bad-data"),
    (errors.JobTooLong("job j ended", seen="it was ended because it ran longer than 9 s"), "job-too-long"),
    (ZeroDivisionError("division by zero"), "unknown-failure"),
])  # fmt: skip
def test_a_person_is_told_which_task_failed_why_and_where_to_clear_it(tmp_path, monkeypatch, error, runbook):
    monkeypatch.setenv("RECFLOW_HOME", str(tmp_path))
    url = "http://127.0.0.1:8080/dags/d/runs/r/tasks/t"
    instance = SimpleNamespace(dag_id="d", task_id="t", run_id="r", log_url=url)
    tell_person({"exception": error, "task_instance": instance})
    card = json.loads((tmp_path / "alerts.jsonl").read_text())
    assert card["title"] == "d t failed in r"
    assert card["cause"] == str(error)
    assert url in card["command"]
    assert card["runbook"] == runbook
    assert card["shoppers_affected"] is False
