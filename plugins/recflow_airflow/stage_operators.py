"""Operators of the retrain DAG: each rebuilds its references, starts one stage, and gives back one reference."""

from collections.abc import Callable, Mapping
from datetime import date
from functools import partial
from typing import Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowSkipException

from recflow.artifacts.manifests import Interval
from recflow.config.recipe import Recipe
from recflow_airflow.failures import FAILURE_POLICY, explained, tell_person
from recflow_airflow.intervals import interval_of
from recflow_airflow.triggers import JobTrigger


class RecflowOperator(BaseOperator):
    """What all operators share: the recipe, the retry policy of the error table, and the message on failure."""

    ui_color = "#e8f1f5"

    def __init__(self, *, recipe: str, **kwargs: Any) -> None:
        # A mapped task is built with both names given as None.
        kwargs["retry_policy"] = kwargs.get("retry_policy") or FAILURE_POLICY
        kwargs["on_failure_callback"] = kwargs.get("on_failure_callback") or tell_person
        super().__init__(**kwargs)
        self.recipe = recipe


def _open_day(context: Mapping[str, Any], recipe: Recipe) -> Interval:
    """The run's day; skipped when the recipe's calendar calls it closed."""
    interval = interval_of(context, recipe)
    if closed := recipe.schedule.closed_on(date.fromisoformat(interval.label)):
        raise AirflowSkipException(closed)
    return interval


class PinParentOperator(RecflowOperator):
    """Pins the model that this run starts from and is compared with."""

    @explained
    def execute(self, context: Mapping[str, Any]) -> dict[str, Any]:
        """The reference of the parent; skipped, and with it the training, while the line stands still."""
        from recflow.wiring import build_services, pin_parent_of, standstill_of

        services = build_services()
        recipe = services.recipe(self.recipe)
        interval = _open_day(context, recipe)
        stop = "" if context["dag_run"].run_type == "backfill" else standstill_of(services, recipe)
        if stop:
            raise AirflowSkipException(stop)
        ref = pin_parent_of(services, recipe, interval)
        self.log.info("parent: %s", ref.numbers)
        return dict(ref.model_dump(mode="json"))


class StageOperator(RecflowOperator):
    """Runs one stage: light ones here, heavy ones as a job that this task waits for without a worker.

    `upstream` maps the stage's input names to the references of earlier tasks. A job that is met again after a
    crash of the worker is the same job: its name is the digest of all that its result depends on.
    """

    template_fields = ("upstream",)

    def __init__(self, *, stage: str, upstream: Mapping[str, Any] | None = None, **kwargs: Any) -> None:
        kwargs.setdefault("task_id", stage)
        super().__init__(**kwargs)
        self.stage = stage
        self.upstream = dict(upstream or {})

    @explained
    def execute(self, context: Mapping[str, Any]) -> dict[str, Any]:
        """The reference of the stage's result."""
        from recflow.artifacts.refs import Ref
        from recflow.wiring import build_services, find_result, finish_stage, run_stage, stage_call, submit_stage

        services = build_services()
        recipe = services.recipe(self.recipe)
        upstream = {name: Ref.model_validate(ref) for name, ref in self.upstream.items()}
        fresh = str(context["params"].get("fresh") or "")
        call = stage_call(services, self.stage, recipe, _open_day(context, recipe), upstream, fresh=fresh)
        if found := find_result(services, call):
            self.log.info("nothing changed: the result of an earlier run is taken")
            return self._give(finish_stage(services, call, found))
        if call.spec.heavy:
            submit_stage(services, call)
            self.defer(trigger=JobTrigger(call.job_name), method_name="collect")
        return self._give(finish_stage(services, call, run_stage(services, call)))

    @explained
    def collect(self, context: Mapping[str, Any], event: str) -> dict[str, Any]:
        """The reference that the ended job published, or the error that its exit code stands for."""
        from recflow.wiring import build_services, collect_job

        return self._give(collect_job(build_services(), event))

    def _give(self, ref: Any) -> dict[str, Any]:
        self.log.info("%s: %s", ref.uri, ref.numbers)
        return dict(ref.model_dump(mode="json"))


class RedeliveredOperator(RecflowOperator):
    """Validates the days before the run's own again that were delivered again, one job after the other.

    Mapped tasks would run them all at once: Airflow's limits do not count a task that waits deferred.
    A delivery that is refused leaves the partition before current: a person is told, and the run goes on. So it does
    after whatever else fails, once all tries are used up; the next run looks again.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(task_id="validate_redelivered", **kwargs)

    @explained
    def execute(self, context: Mapping[str, Any]) -> list[str]:
        """What became of each day that was delivered again, or is gone; a backfill's days look at themselves alone."""
        from recflow.errors import RecflowError
        from recflow.wiring import build_services, look_at_days_before, tell_of_look

        services = build_services()
        recipe = services.recipe(self.recipe)
        interval = _open_day(context, recipe)
        if context["dag_run"].run_type == "backfill":
            return []
        try:
            look = look_at_days_before(services, recipe, interval)
        except RecflowError as error:
            self._tell_or_try_again(context, error, partial(tell_of_look, services, recipe))
            return [f"the days before were not looked at: {error.what}"]
        told = [f"{day} is gone from its source: its partition stays" for day in look.gone]
        for line in told:
            self.log.warning("%s", line)
        return self._validate(context, list(look.again), told)

    @explained
    def collect(self, context: Mapping[str, Any], event: str, days: list[str], told: list[str]) -> list[str]:
        """Go on after the job of the first of `days` has ended; `told` is what became of those before."""
        return self._validate(context, days, told, ended=event)

    def _validate(self, context: Mapping[str, Any], days: list[str], told: list[str], ended: str = "") -> list[str]:
        from recflow.errors import RecflowError
        from recflow.wiring import build_services, collect_job, tell_of_delivery

        services = build_services()
        recipe = services.recipe(self.recipe)
        for number, day in enumerate(days):
            try:
                ref = collect_job(services, ended) if ended else self._found(services, recipe, days[number:], told)
                told.append(f"{day} was validated again: {ref.numbers['rows']} rows")
            except RecflowError as error:
                self._tell_or_try_again(context, error, partial(tell_of_delivery, services, recipe, day))
                told.append(f"{day} keeps the partition before: {error.what}")
            self.log.info("%s", told[-1])
            ended = ""
        return told

    def _tell_or_try_again(self, context: Mapping[str, Any], error: Exception, tell: Callable[[Any], None]) -> None:
        from recflow.errors import TemporaryError

        if isinstance(error, TemporaryError) and context["ti"].try_number <= context["ti"].max_tries:
            raise error
        tell(error)

    def _found(self, services: Any, recipe: Recipe, days: list[str], told: list[str]) -> Any:
        """The partition of the first of `days` when it was made before; else the task waits for its job."""
        from recflow.domain.intervals import day_interval
        from recflow.wiring import find_result, finish_stage, stage_call, submit_stage

        interval = day_interval(days[0], recipe.schedule.timezone)
        call = stage_call(services, "validate_partition", recipe, interval, {})
        if found := find_result(services, call):
            return finish_stage(services, call, found)
        submit_stage(services, call)
        waiting = {"days": days, "told": told}
        return self.defer(trigger=JobTrigger(call.job_name), method_name="collect", kwargs=waiting)


class RecordCandidateOperator(RecflowOperator):
    """Writes a candidate that passed the offline gate into the ledger; a backfill and a red gate record nothing.

    When nothing waits to be released the task is skipped, so that its asset wakes no release.
    """

    template_fields = ("refs",)

    def __init__(self, *, refs: Mapping[str, Any], **kwargs: Any) -> None:
        super().__init__(task_id="record_candidate", **kwargs)
        self.refs = dict(refs)

    @explained
    def execute(self, context: Mapping[str, Any]) -> str:
        """The version that the ledger knows now; AirflowSkipException with the reason when it knows none."""
        from recflow.artifacts.refs import Ref
        from recflow.wiring import build_services, record_candidate_of

        if context["dag_run"].run_type == "backfill":
            raise AirflowSkipException("not recorded: a backfill releases nothing")
        services = build_services()
        recipe = services.recipe(self.recipe)
        refs = {name: Ref.model_validate(ref) for name, ref in self.refs.items()}
        seen = record_candidate_of(services, recipe, interval_of(context, recipe), refs)
        if not (seen.recorded and seen.waiting):
            raise AirflowSkipException(seen.reason)
        self.log.info("%s: %s", seen.version, seen.reason)
        return str(seen.version)
