"""Failures in Airflow's words: what is tried again, and what a person is told."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import wraps
from typing import Any, TypeVar

from airflow.sdk import ExceptionRetryPolicy, RetryAction, RetryRule

from recflow.errors import RecflowError

_Method = TypeVar("_Method", bound=Callable[..., Any])

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


def explained(method: _Method) -> _Method:
    """Write what a failed method of an operator says into the task's log, one sentence a line, where it can be read.

    Airflow itself shows the whole message on one line that ends outside the page, above a traceback.
    """

    @wraps(method)
    def told(operator: Any, *arguments: Any, **named: Any) -> Any:
        try:
            return method(operator, *arguments, **named)
        except RecflowError as error:
            for line in (*error.parts, *getattr(error, "__notes__", ())):
                operator.log.error("%s", line)  # noqa: TRY400 - Airflow adds the traceback
            raise

    return told  # type: ignore[return-value]


def tell_person(context: Mapping[str, Any]) -> None:
    """Send the on-call card of a failed task; shoppers are not affected, since the stable model keeps serving."""
    from recflow.protocols import Card
    from recflow.wiring import build_services

    error = context.get("exception")
    instance = context["task_instance"]
    card = Card(
        title=f"{instance.dag_id} {instance.task_id} failed in {instance.run_id}",
        shoppers_affected=False,
        cause=str(error)[:2000],
        command=f"open {instance.log_url}, mend the cause, and clear the task there",
        runbook=error.runbook if isinstance(error, RecflowError) else "unknown-failure",
    )
    build_services().notifier.notify(card)
