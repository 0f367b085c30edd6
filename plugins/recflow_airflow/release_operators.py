"""Operators of the release and watch DAGs: they ask the release machine to advance, and wait without a worker."""

from collections.abc import Mapping, Sequence
from typing import Any

from airflow.sdk.exceptions import AirflowSkipException

from recflow_airflow.stage_operators import RecflowOperator
from recflow_airflow.triggers import LedgerTrigger


class ClaimCandidateOperator(RecflowOperator):
    """Finds the release that is open, or opens one for the newest candidate in the ledger.

    The asset event that woke this run is not read: events can be lost, doubled or stale, the ledger cannot.
    """

    def execute(self, context: Mapping[str, Any]) -> str:
        """The id of the release that the following tasks carry through."""
        from recflow.wiring import build_services, claim_release

        release_id = claim_release(build_services(), self.recipe)
        if not release_id:
            raise AirflowSkipException("no candidate is waiting and no release is open")
        return release_id


class ReleaseStepOperator(RecflowOperator):
    """Carries the release through some of its states, and gives back where it went.

    `states` are the states that this task stands for, `step` the canary step when there are several. A release that
    has ended meanwhile, or has already passed these states, is not touched: the task is skipped when the release
    ended earlier, and done when it went past.
    """

    template_fields = ("release_id",)

    def __init__(self, *, release_id: Any, states: Sequence[str], step: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.release_id, self.states, self.step = release_id, tuple(states), step

    def execute(self, context: Mapping[str, Any], event: Any = None) -> dict[str, Any]:
        """Advance as far as is due now; defer while the release stays in this task's states."""
        from recflow.wiring import advance_release, build_services, release_progress

        services = build_services()
        before = release_progress(services, self.recipe, self.release_id)
        if before.ended and event is None:
            raise AirflowSkipException(f"release {self.release_id} had ended before: {before.state} ({before.reason})")
        while not before.ended and before.stands_in(self.states, self.step):
            advance_release(services, self.recipe)
            after = release_progress(services, self.recipe, self.release_id)
            self.log.info("%s: %s", after.state, after.reason or "on its way")
            if after.seq == before.seq:
                self._wait(after.seq, after.wait_s)
            before = after
        return {"release": self.release_id, "state": before.state, "reason": before.reason}

    def _wait(self, seq: int, wait_s: float) -> None:
        self.defer(trigger=LedgerTrigger(self.recipe, seq, wait_s), method_name="execute")


class WatchOperator(RecflowOperator):
    """Looks at what serves now; a breach rolls back, everything else is told or left alone."""

    def execute(self, context: Mapping[str, Any]) -> dict[str, Any]:
        """What was seen and what was done."""
        from recflow.wiring import build_services, watch_recipe

        report = watch_recipe(build_services(), self.recipe)
        self.log.info("%s", report)
        return report


class HousekeepingOperator(RecflowOperator):
    """Removes what no reference names any more: never the stable, the previous, or an open release."""

    def execute(self, context: Mapping[str, Any]) -> dict[str, Any]:
        """How many objects and bytes went."""
        from recflow.wiring import build_services, clean_store

        return clean_store(build_services(), self.recipe)
