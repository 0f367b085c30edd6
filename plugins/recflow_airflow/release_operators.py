"""Operators of the release and watch DAGs: they ask the release machine to advance, and wait without a worker."""

from collections.abc import Mapping, Sequence
from typing import Any

from airflow.sdk.exceptions import AirflowRuntimeError, AirflowSkipException, DagRunTriggerException

from recflow_airflow.failures import explained
from recflow_airflow.stage_operators import RecflowOperator
from recflow_airflow.triggers import LedgerTrigger

_SHORTEST_WAIT_S = 2.0  # an infra check that is tried again is due at once; the server may need a moment


class ClaimCandidateOperator(RecflowOperator):
    """Finds the release that is open, or opens one for the newest candidate in the ledger.

    The asset event that woke this run is not read: events can be lost, doubled or stale, the ledger cannot.
    """

    @explained
    def execute(self, context: Mapping[str, Any]) -> str:
        """The id of the release that the following tasks carry through."""
        from recflow.wiring import build_services, claim_release

        claimed = claim_release(build_services(), self.recipe)
        if not claimed.release_id:
            raise AirflowSkipException(claimed.reason)
        return str(claimed.release_id)


class ReleaseStepOperator(RecflowOperator):
    """Carries the release through some of its states, and gives back where it went.

    `states` are the states that this task stands for, `step` the canary step when there are several. Skipped when
    there is no release, when it has ended before, or when it never stands in these states; such a skip does not skip
    what follows.
    """

    template_fields = ("release_id",)

    def __init__(self, *, release_id: Any, states: Sequence[str], step: int | None = None, **kwargs: Any) -> None:
        kwargs.setdefault("trigger_rule", "none_failed")
        super().__init__(**kwargs)
        self.release_id, self.states, self.step = release_id, tuple(states), step

    @explained
    def execute(self, context: Mapping[str, Any]) -> dict[str, Any]:
        """Advance as far as is due now; defer while the release stays in this task's states."""
        from recflow.wiring import build_services, release_progress

        if not self.release_id:
            raise AirflowSkipException("no release is open")
        now = release_progress(build_services(), self.recipe, self.release_id)
        if now.ended:
            raise AirflowSkipException(f"release {self.release_id} had ended: {now.state} ({now.reason})")
        if not now.stands_in(self.states, self.step):
            raise AirflowSkipException(f"release {self.release_id} is in {now.state}: this step has nothing to do")
        return self.advance(context)

    @explained
    def advance(self, context: Mapping[str, Any], event: Any = None) -> dict[str, Any]:
        """The same after each wait: the release may have moved on or ended meanwhile, by whoever's hand."""
        from recflow.wiring import advance_release, build_services, release_progress

        services = build_services()
        now = release_progress(services, self.recipe, self.release_id)
        while not now.ended and now.stands_in(self.states, self.step):
            advance_release(services, self.recipe)
            after = release_progress(services, self.recipe, self.release_id)
            self.log.info("%s: %s", after.state, after.reason or "on its way")
            if after.seq == now.seq:
                wait_s = max(after.wait_s, _SHORTEST_WAIT_S)
                self.defer(trigger=LedgerTrigger(self.recipe, after.seq, wait_s), method_name="advance")
            now = after
        return {"release": self.release_id, "state": str(now.state), "reason": now.reason}


class ReleaseEndOperator(RecflowOperator):
    """The end of a run that its name tells, for the grid: it runs where the release is in one of `states`."""

    template_fields = ("release_id",)

    def __init__(self, *, release_id: Any, states: Sequence[str], **kwargs: Any) -> None:
        kwargs.setdefault("trigger_rule", "none_failed")
        super().__init__(**kwargs)
        self.release_id, self.states = release_id, tuple(states)

    @explained
    def execute(self, context: Mapping[str, Any]) -> str:
        """Why the release is where it is; skipped where it is elsewhere."""
        from recflow.wiring import build_services, release_progress

        if not self.release_id:
            raise AirflowSkipException("no release is open")
        now = release_progress(build_services(), self.recipe, self.release_id)
        if not now.stands_in(self.states):
            raise AirflowSkipException(f"release {self.release_id} is in {now.state}")
        self.log.info("%s: %s", now.state, now.reason)
        return now.reason


class WatchOperator(RecflowOperator):
    """Looks at what serves now; a breach rolls back, everything else is told or left alone."""

    @explained
    def execute(self, context: Mapping[str, Any]) -> dict[str, Any]:
        """What was seen and what was done."""
        from recflow.wiring import build_services, watch_recipe

        report = watch_recipe(build_services(), self.recipe, paused=self._is_paused(context))
        self.log.info("%s", report)
        return dict(report)

    def _is_paused(self, context: Mapping[str, Any]) -> bool | None:
        """Whether a person has paused the release DAG; None where Airflow does not tell: a way back needs no answer."""
        try:
            return bool(context["ti"].get_dag(release_dag(self.recipe)).is_paused)
        except AirflowRuntimeError as error:
            self.log.warning("nothing moves forward, since Airflow does not tell of the release DAG: %s", error)
            return None


class GoneRecipesOperator(RecflowOperator):
    """Finds lines that serve, or are being released, whose recipe's file is gone or broken: no other task sees them."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(task_id="recipes_gone", recipe="", **kwargs)

    @explained
    def execute(self, context: Mapping[str, Any]) -> list[str]:
        """Their names."""
        from recflow.wiring import build_services, watch_recipes_gone

        return list(watch_recipes_gone(build_services()))


class StartReleaseOperator(RecflowOperator):
    """Starts a run of the release DAG for a candidate that waits, or a release that goes on, without one.

    Airflow drops the wake-up of an asset while the DAG is paused, and a run may be deleted. Of a paused DAG the one
    run waits in the queue until it is unpaused.
    """

    @explained
    def execute(self, context: Mapping[str, Any]) -> None:
        """Skipped, with the reason, where nothing is to be carried or a run does so."""
        from recflow.wiring import build_services, run_wanted_for

        wanted, dag_id = run_wanted_for(build_services(), self.recipe), release_dag(self.recipe)
        if not wanted:
            raise AirflowSkipException("nothing to carry: no candidate waits, and no release is to go on")
        if context["ti"].get_dr_count(dag_id=dag_id, states=["queued", "running"]):
            raise AirflowSkipException(f"{wanted}, but for the run that there is")
        self.log.info("%s: a run of %s is started", wanted, dag_id)
        raise DagRunTriggerException(
            trigger_dag_id=dag_id,
            dag_run_id=f"watch__{context['ti'].id}",
            conf=None,
            note=wanted,
            logical_date=None,
            reset_dag_run=False,
            skip_when_already_exists=True,
            wait_for_completion=False,
            allowed_states=["success"],
            failed_states=["failed"],
            poke_interval=60,
            deferrable=False,
        )


def release_dag(recipe: str) -> str:
    """The id of a recipe's release DAG."""
    return f"{recipe}__release"


class HousekeepingOperator(RecflowOperator):
    """Removes what no reference names any more: never the stable, the previous, or an open release."""

    @explained
    def execute(self, context: Mapping[str, Any]) -> dict[str, Any]:
        """How many objects, records and folders were dealt with."""
        from recflow.wiring import build_services, clean_store

        report = clean_store(build_services(), self.recipe)
        self.log.info("%s", report)
        return dict(report)
