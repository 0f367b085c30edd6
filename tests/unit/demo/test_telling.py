import json

import pytest

from demo.airflow_runs import Runs
from demo.screen import Screen
from recflow.errors import PermanentError

RUN = "manual__1"
WORDS = "expected [bold], seen [/a]"


def card(run_id: str, cause: str) -> str:
    return json.dumps({"title": f"shop__retrain fine_tune failed in {run_id}", "cause": cause}) + "\n"


class FailedAirflow:
    """An Airflow in which a run has failed."""

    url = "http://airflow"

    def __init__(self, home) -> None:
        self.environment = {"RECFLOW_HOME": str(home)}

    def api(self, method, path, body=None):
        tasks = [{"task_id": "fine_tune", "state": "failed"}]
        return {"dags": [{"dag_id": "shop__retrain"}], "dag_run_id": RUN, "state": "failed", "task_instances": tasks}


def test_a_failed_run_is_told_with_the_message_of_its_task(tmp_path):
    (tmp_path / "alerts.jsonl").write_text(card(RUN, "the loss is no number") + card("manual__2", "another"))
    with pytest.raises(PermanentError, match="fine_tune: the loss is no number"):
        Runs(FailedAirflow(tmp_path), Screen()).run("shop__retrain", {}, "retrain")


def test_a_failed_run_without_a_card_is_told_with_the_task_alone(tmp_path):
    with pytest.raises(PermanentError, match=r"failed: fine_tune\."):
        Runs(FailedAirflow(tmp_path), Screen()).run("shop__retrain", {}, "retrain")


@pytest.mark.parametrize(
    "show",
    [
        lambda screen: screen.say(WORDS),
        lambda screen: screen.step(WORDS, 1, 2),
        lambda screen: screen.chapter("title", WORDS),
        lambda screen: screen.table("title", ["column"], [[WORDS]]),
    ],
    ids=["say", "step", "chapter", "table"],
)
def test_brackets_are_shown_as_they_are(capsys, show):
    show(Screen())
    assert WORDS in capsys.readouterr().out
