"""Failures in Airflow's words: what is tried again, and what a person is told."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from airflow.sdk import ExceptionRetryPolicy, RetryAction, RetryRule

FAILURE_POLICY = ExceptionRetryPolicy(
    rules=[
        RetryRule(
            exception="recflow.errors.PermanentError", action=RetryAction.FAIL, reason="trying again changes nothing"
        ),
        RetryRule(
            exception="recflow.errors.TemporaryError",
            action=RetryAction.RETRY,
            retry_delay=timedelta(seconds=20),
            reason="temporary: see the message above",
        ),
    ]
)


def tell_person(context: Mapping[str, Any]) -> None:
    """Send the on-call card of a failed task; shoppers are not affected, since the stable model keeps serving."""
    from recflow.errors import RecflowError
    from recflow.protocols import Card
    from recflow.wiring import build_services

    error = context.get("exception")
    instance = context["task_instance"]
    command = f"airflow tasks clear {instance.dag_id} --task-regex {instance.task_id} --yes"
    card = Card(
        title=f"{instance.dag_id} {instance.task_id} failed in {instance.run_id}",
        shoppers_affected=False,
        cause=str(error)[:2000],
        command=command,
        runbook=error.runbook if isinstance(error, RecflowError) else "unknown-failure",
    )
    build_services().notifier.notify(card)
