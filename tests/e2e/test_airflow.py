"""The retrain, release, watch and housekeeping DAGs on a real scheduler, real Triton and real gateway.

One installation lives through all of it, so the tests are written in the order of its days; each also runs by itself.
"""

import json
import shutil
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import httpx
import psutil
import pytest

from e2e.pages import backfill, clear_task, open_dag, open_form, read_doc, trigger
from e2e.runs import STAGE_TASKS, Runs, create_backfill, wait_for
from e2e.shoppers import rank
from e2e.small_host import (
    GARBAGE,
    RECIPE,
    RELEASE,
    RETRAIN,
    SECOND,
    Days,
    restart_gateway,
    services_of,
    write_recipe,
)
from fakes.online_retail import unpack_days
from host.stack import REPOSITORY, Stack
from recflow.artifacts.ledger import EventKind, ReleaseState
from recflow.artifacts.manifests import Interval
from recflow.data.heads import HeadHistory
from recflow.protocols import JobState
from recflow.rollout import operations
from recflow.wiring import record_candidate_of, run_wanted_for

S = ReleaseState


def candidates(runs: Runs) -> list[str]:
    """Versions that the ledger was ever told of, oldest first."""
    events = [entry.event for entry in runs.services.ledger.entries(RECIPE)][::-1]
    return [event.candidate.version for event in events if event.kind is EventKind.CANDIDATE_RECORDED]


def test_a_scheduled_run_fires_by_itself_and_trains_on_the_newest_whole_day(runs: Runs, days: Days, scheduled_run: str):
    assert set(runs.states(RETRAIN, scheduled_run).values()) == {"success"}
    recorded = runs.returned(RETRAIN, scheduled_run, "record_candidate")
    assert recorded.startswith(f"{days.scheduled:%Y%m%d}-")
    assert candidates(runs)[0] == recorded


def test_the_api_server_alone_waits_a_short_time_for_the_database(stack: Stack):
    environments = {
        name: psutil.Process(stack.processes.pid(name)).environ()
        for name in stack.processes.names()
        if name.startswith("airflow-") and stack.processes.alive(name)
    }
    waits = {name: of["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"].partition("=")[2] for name, of in environments.items()}
    assert waits.pop("airflow-api") == "5"
    assert set(waits.values()) == {"60"}
    assert len(waits) == 3


def test_its_candidate_wakes_the_release_and_becomes_what_the_gateway_answers_with(
    runs: Runs, stack: Stack, scheduled_run: str, first_release: str
):
    version = runs.returned(RETRAIN, scheduled_run, "record_candidate")
    states = runs.states(RELEASE, first_release)
    never = {"approval", "canary_25_percent", "online_gate"}
    assert {states[name] for name in never} == {"skipped"}
    # The watch takes steps too: a task that comes after it finds its step done, and is skipped.
    assert {state for name, state in states.items() if name not in never} <= {"success", "skipped"}
    assert states["claim_candidate"] == "success"
    ends = ("promoted", "rolled_back", "held", "not_released", "measured")
    assert [name for name in ends if states[name] == "success"] == ["promoted"]
    moves = [entry.event.to for entry in runs.services.ledger.entries(RECIPE) if entry.event.to is not None]
    assert moves[::-1] == [S.PACKAGED, S.CHECKED, S.SHADOW, S.PROMOTING, S.STABLE]
    stable = runs.state.stable
    assert stable is not None
    assert (stable.version, stable.release_id) == (version, runs.returned(RELEASE, first_release, "claim_candidate"))
    with httpx.Client(base_url=stack.gateway_url, timeout=30) as client:
        answer = rank(client, "somebody").raise_for_status().json()
    assert (answer["version"], answer["fallback"]) == (version, "")


def test_the_same_day_again_from_the_web_page_computes_nothing_twice(
    page, shot, runs: Runs, days: Days, scheduled_run: str, first_release: str
):
    before, releases = candidates(runs), len(runs.of(RELEASE))
    open_dag(page, RETRAIN)
    shot("dag")
    doc = read_doc(page)
    assert "If a task is red" in doc
    form = open_form(page)
    assert "Compute again because" in form.inner_text()
    shot("form")
    run_id = trigger(page, days.scheduled)
    assert runs.finish(RETRAIN, run_id) == "success"
    page.goto(f"/dags/{RETRAIN}/runs/{run_id}")
    page.get_by_role("link", name="record_candidate").first.wait_for()
    shot("run")
    assert runs.results(run_id, RETRAIN) == runs.results(scheduled_run, RETRAIN)
    for task in STAGE_TASKS[1:]:
        assert any("the result of an earlier run is taken" in line for line in runs.log(RETRAIN, run_id, task)), task
    assert candidates(runs) == before
    assert runs.states(RETRAIN, run_id)["record_candidate"] == "skipped"
    assert len(runs.of(RELEASE)) == releases


def test_watch_looks_at_every_recipe_and_finds_the_stable_version_well(runs: Runs, first_release: str):
    run_id = runs.trigger("watch")
    assert runs.finish("watch", run_id) == "success"
    watched = runs.tasks("watch", run_id)["watch[0]"]
    assert watched["rendered_map_index"] == RECIPE
    (seen,) = runs.returned("watch", run_id, "watch", 0)["observations"]
    assert (seen["role"], seen["version"], seen["probe"]["wrong"]) == ("stable", runs.state.stable.version, 0)
    assert runs.of("watch", run_type="scheduled"), "and it fires by itself"


def test_a_backfill_from_the_command_line_has_its_own_pool_and_releases_nothing(
    runs: Runs, days: Days, scheduled_run: str, backfilled: list[str]
):
    assert len(backfilled) == 3
    for run_id in backfilled:
        tasks = runs.tasks(RETRAIN, run_id)
        assert {task["pool"] for task in tasks.values()} == {"backfill"}
        assert tasks["record_candidate"]["state"] == "skipped"
    assert {task["pool"] for task in runs.tasks(RETRAIN, scheduled_run).values()} == {"default_pool"}
    heads = {head.interval.label for head in heads_of(runs)}
    assert heads >= {day.isoformat() for day in days.past}
    assert not any(version.startswith(f"{day:%Y%m%d}") for day in days.past for version in candidates(runs))


def test_a_scheduled_day_that_a_backfill_runs_again_keeps_its_name_waits_in_the_backfills_pool_and_releases_nothing(
    runs: Runs, stack: Stack, days: Days, scheduled_run: str, first_release: str
):
    before, releases = candidates(runs), len(runs.of(RELEASE))
    create_backfill(stack, days.scheduled, days.following, "completed")
    assert wait_for("the run again", lambda: runs.of(RETRAIN, run_type="backfill", dag_run_id=scheduled_run))
    assert runs.finish(RETRAIN, scheduled_run) == "success"
    tasks = runs.tasks(RETRAIN, scheduled_run)
    assert {task["pool"] for task in tasks.values()} == {"backfill"}
    assert tasks["record_candidate"]["state"] == "skipped"
    assert (candidates(runs), len(runs.of(RELEASE))) == (before, releases)


def heads_of(runs: Runs):
    from recflow.data.heads import HeadHistory

    store = runs.services.store
    labels = {key.split("/")[-2] for key in store.list(f"{RECIPE}/partitions/heads/")}
    return [HeadHistory(store, RECIPE).current(label) for label in labels]


def test_jobs_are_met_again_after_the_triggerer_was_killed(runs: Runs, backfilled: list[str]):
    assert {runs.tasks(RETRAIN, run_id)["fine_tune"]["try_number"] for run_id in backfilled} == {1}


def test_a_broken_day_says_what_to_do_is_not_tried_again_and_is_mended_from_the_web_page(
    page, shot, runs: Runs, stack: Stack, days: Days, backfilled: list[str]
):
    events = stack.source_root / "shop" / "events" / f"{days.past[0]}.jsonl"
    good = events.read_bytes()
    events.write_bytes(good[:20_000] + b'\xff\xfe{"cut')
    run_id = runs.trigger(RETRAIN, days.past[0])
    assert runs.finish(RETRAIN, run_id) == "failed"

    tasks = runs.tasks(RETRAIN, run_id)
    assert (tasks["validate_partition"]["state"], tasks["validate_partition"]["try_number"]) == ("failed", 1)
    said = runs.log(RETRAIN, run_id, "validate_partition")
    order = [next(n for n, line in enumerate(said) if line.startswith(start)) for start in MESSAGE_ORDER]
    assert order == sorted(order)
    assert "Runbook: docs/runbooks/bad-data.md" in said
    card = (stack.home / "alerts.jsonl").read_text().splitlines()[-1]
    assert '"runbook": "bad-data"' in card
    assert run_id in card

    page.goto(f"/dags/{RETRAIN}/runs/{run_id}/tasks/validate_partition")
    page.get_by_text("Do: look how the file was written").first.wait_for()
    shot("failure")
    events.write_bytes(good)
    clear_task(page)
    wait_for("the run to start again", lambda: runs.of(RETRAIN, dag_run_id=run_id)[0]["state"] != "failed")
    assert runs.finish(RETRAIN, run_id) == "success"
    assert runs.results(run_id, RETRAIN) == runs.results(backfilled[0], RETRAIN)


MESSAGE_ORDER = ("events/2", "Expected UTF-8 text, seen line", "Next: ", "Do: ", "Runbook: ", "run it by hand: ")


def test_the_same_retrain_started_twice_at_once_ends_with_one_candidate(runs: Runs, days: Days, crowded):
    assert [version for version in candidates(runs) if version.startswith(f"{days.following:%Y%m%d}")] == [
        crowded.candidate
    ]
    one, other = (runs.results(run_id, RETRAIN) for run_id in crowded.retrains)
    assert one == other


def test_a_release_goes_on_after_triton_was_killed_and_every_request_was_answered(runs: Runs, crowded):
    assert crowded.restarts >= 1
    assert set(crowded.shoppers.statuses) == {200}
    assert crowded.shoppers.fallbacks[""] > 0
    assert sum(crowded.shoppers.fallbacks.values()) > crowded.shoppers.fallbacks[""], "some were answered by fallback"
    state = runs.state
    assert state.last_state is ReleaseState.STABLE
    assert state.stable.version == crowded.candidate
    assert crowded.shoppers.versions[crowded.candidate] > 0


def test_housekeeping_removes_garbage_and_nothing_that_a_release_needs(runs: Runs, crowded):
    services, state = runs.services, runs.state
    run_id = runs.trigger("housekeeping")
    assert runs.finish("housekeeping", run_id) == "success"
    assert runs.returned("housekeeping", run_id, "clean", 0)["deleted_objects"] >= 1
    assert services.store.get(GARBAGE) is None
    for served in (state.stable, state.previous):
        assert services.artifacts.fetch(served.package)
        assert services.artifacts.fetch(served.checkpoint)


def test_a_backfill_from_the_web_page_runs_past_days_again_and_takes_their_results(
    page, runs: Runs, days: Days, backfilled: list[str], tmp_path
):
    before, results = candidates(runs), [runs.results(run_id, RETRAIN) for run_id in backfilled]
    releases = len(runs.of(RELEASE))
    queued = _queued(runs, backfilled)
    open_dag(page, RETRAIN)
    open_form(page)
    backfill(page, days.past[0], days.past[-1], tmp_path / "backfill-form.png")
    wait_for("the runs to start again", lambda: not queued & _queued(runs, backfilled))
    assert runs.finish_all(RETRAIN, backfilled) == {"success"}
    assert [runs.results(run_id, RETRAIN) for run_id in backfilled] == results
    assert candidates(runs) == before
    assert len(runs.of(RELEASE)) == releases


def _queued(runs: Runs, run_ids: list[str]) -> set[tuple[str, str]]:
    return {(run["dag_run_id"], run["queued_at"]) for run in runs.of(RETRAIN) if run["dag_run_id"] in run_ids}


def test_a_candidate_recorded_while_the_release_dag_is_paused_waits_and_gets_one_run(runs: Runs, first_release: str):
    known = {run["dag_run_id"] for run in runs.of(RELEASE)}
    runs.api("PATCH", f"/dags/{RELEASE}", {"is_paused": True})
    record_stable_again(runs)
    version = record_stable_again(runs)
    wait_for("the watch's turn", lambda: run_wanted_for(runs.services, RECIPE))
    for _ in range(2):
        assert runs.finish("watch", runs.trigger("watch")) == "success"
    (run,) = [run for run in runs.of(RELEASE) if run["dag_run_id"] not in known]
    assert (run["state"], run["run_type"]) == ("queued", "operator_triggered")
    assert runs.state.waiting.version == version, "the watch moves nothing forward either"
    runs.api("PATCH", f"/dags/{RELEASE}", {"is_paused": False})
    wait_for("shadow", lambda: (release := runs.state.release) and release.state is S.SHADOW)
    assert [run["state"] for run in unknown(runs, known)] == ["running"]
    runs.clear(RELEASE, run["dag_run_id"])
    runs.mark(RELEASE, run["dag_run_id"], "failed")
    wait_for("the watch's turn", lambda: run_wanted_for(runs.services, RECIPE))
    assert runs.state.release.state is S.SHADOW, "the ledger knows it, whatever becomes of its run"
    assert runs.finish("watch", runs.trigger("watch")) == "success"
    runs.clear(RELEASE, run["dag_run_id"])
    assert runs.finish("watch", runs.trigger("watch")) == "success"
    carried = unknown(runs, known)
    assert (len(carried), [one["state"] for one in carried].count("queued")) == (2, 1)
    operations.abort(RECIPE, runs.services.ledger, person="ada", reason="seen enough")
    ends = {one["dag_run_id"]: runs.finish(RELEASE, one["dag_run_id"]) for one in carried}
    assert set(ends.values()) == {"success"}
    told = [runs.states(RELEASE, one) for one in ends]
    assert any((end["rolled_back"], end["promoted"], end["held"]) == ("success", "skipped", "skipped") for end in told)
    assert len(unknown(runs, known)) == 2


def test_a_release_whose_run_is_deleted_and_one_recorded_while_its_run_is_cleared_get_one_run_each(
    runs: Runs, first_release: str
):
    known = {run["dag_run_id"] for run in runs.of(RELEASE)}
    version = record_stable_again(runs)
    (first,) = watched_until_carried(runs, known, version)
    runs.mark(RELEASE, first, "failed")  # Airflow deletes no run that goes on
    runs.api("DELETE", f"/dags/{RELEASE}/dagRuns/{first}")
    assert runs.state.release.candidate.version == version, "the ledger knows it, whatever becomes of its run"
    (second,) = watched_until_carried(runs, known, version)
    assert second != first
    runs.clear(RELEASE, second)
    newer = record_stable_again(runs)
    runs.clear(RELEASE, second)
    operations.abort(RECIPE, runs.services.ledger, person="ada", reason="seen enough")
    carried = watched_until_carried(runs, known, newer)
    assert second in carried
    operations.abort(RECIPE, runs.services.ledger, person="ada", reason="seen enough")
    assert runs.finish_all(RELEASE, carried) == {"success"}
    assert {run["dag_run_id"] for run in unknown(runs, known)} == set(carried)


def watched_until_carried(runs: Runs, known: set[str], version: str) -> list[str]:
    """The watch looks until the version is in shadow; the runs that are not known, of which at most one is queued."""

    def carried() -> list[str]:
        if run_wanted_for(runs.services, RECIPE):
            assert runs.finish("watch", runs.trigger("watch")) == "success"
        found = unknown(runs, known)
        assert [run["state"] for run in found].count("queued") <= 1
        release = runs.state.release
        shadowed = release is not None and release.candidate.version == version and release.state is S.SHADOW
        return [run["dag_run_id"] for run in found] if shadowed else []

    return wait_for(f"{version} in shadow, carried by a run", carried)


def unknown(runs: Runs, known: set[str]):
    return [run for run in runs.of(RELEASE) if run["dag_run_id"] not in known]


def test_a_second_line_that_is_added_recommends_by_its_own_release_and_moves_nothing_of_the_first(
    runs: Runs, stack: Stack, days: Days, first_release: str
):
    known, before = len([*runs.services.ledger.entries(RECIPE)]), routed(runs)
    write_recipe(SECOND, stack.recipes, days, days.scheduled)
    restart_gateway(stack)
    run = wait_for("its scheduled run", lambda: runs.of(f"{SECOND}__retrain", run_type="scheduled"))[0]
    assert runs.finish(f"{SECOND}__retrain", run["dag_run_id"]) == "success"
    version = runs.returned(f"{SECOND}__retrain", run["dag_run_id"], "record_candidate")
    release = wait_for("its release", lambda: runs.of(f"{SECOND}__release", run_type="asset_triggered"))[0]
    assert runs.finish(f"{SECOND}__release", release["dag_run_id"]) == "success"
    assert runs.state_of(SECOND).stable.version == version

    history = clicked(stack, days.scheduled)[:3]
    told = wait_for("the route", lambda: (said := recommended(stack, history))["version"] == version and said)
    shown = [item["id"] for item in told["items"]]
    assert (told["basis"], told["fallback"], len(shown)) == ("history", "", 10)
    assert not set(shown) & set(history)
    assert recommended(stack, [])["basis"] == "popularity"
    # Of its own earlier releases the first line may still tell a person, or unload what they left.
    newer = [*runs.services.ledger.entries(RECIPE)][:-known]
    assert {entry.event.kind for entry in newer} <= {EventKind.UNLOADED, EventKind.TOLD}
    assert routed(runs) == before
    with httpx.Client(base_url=stack.gateway_url, timeout=30) as client:
        assert rank(client, "somebody").raise_for_status().json()["version"] == runs.state.stable.version


def routed(runs: Runs):
    """Stable, the open release and the routes of the first line; a table's epoch counts every entry of the ledger."""
    table = runs.services.router.table(RECIPE)
    return runs.state.stable, runs.state.release, table.model_copy(update={"epoch": 0})


def clicked(stack: Stack, day: date) -> list[str]:
    """The items that shoppers clicked on a day, each once, in the order of the ids."""
    lines = (stack.source_root / "shop" / "events" / f"{day}.jsonl").read_text().splitlines()
    return sorted({event["item_id"] for event in map(json.loads, lines) if event["kind"] == "click"})


def recommended(stack: Stack, history: list[str]):
    body = {"user_id": "somebody", "history": history}
    answer = httpx.post(f"{stack.gateway_url}/v1/{SECOND}/recommend", json=body, timeout=30)
    return answer.raise_for_status().json()


def test_a_line_of_data_alone_that_is_added_runs_its_days_and_skips_those_that_are_closed(
    runs: Runs, stack: Stack, data_folder: Callable[[str], Path]
):
    days = [date(2010, 12, 3), date(2010, 12, 4), date(2010, 12, 5)]
    unpack_days(data_folder, days, stack.source_root / "retail")
    recipe = Path(shutil.copy(REPOSITORY / "examples" / "retail.yaml", stack.recipes))
    wait_for("its DAG", lambda: runs.api("GET", "/dags?dag_id_pattern=retail__data")["dags"])
    runs_of_days = [runs.trigger("retail__data", day) for day in days]
    assert runs.finish_all("retail__data", runs_of_days) == {"success"}
    states = [runs.states("retail__data", run)["validate_partition"] for run in runs_of_days]
    assert states == ["success", "skipped", "success"]
    heads = HeadHistory(runs.services.store, "retail")
    assert [heads.current(f"{day}") is not None for day in days] == [True, False, True]
    assert not runs.api("GET", "/dags?dag_id_pattern=retail__re")["dags"], "neither retrain nor release"

    delivered = stack.source_root / "retail" / "2010-12-03.csv"
    delivered.write_text("".join(delivered.read_text().splitlines(keepends=True)[:-1]))
    again = runs.trigger("retail__data", days[-1])
    assert runs.finish("retail__data", again) == "success"
    (told,) = runs.returned("retail__data", again, "validate_redelivered")
    assert told.startswith("2010-12-03 was validated again: ")
    first, second = heads.history("2010-12-03")
    assert second.reason.startswith("delivered again: ")
    assert second.partition.numbers["rows_in"] == first.partition.numbers["rows_in"] - 1
    recipe.unlink()


def test_a_training_that_a_person_marks_failed_ends_and_goes_on_from_its_saved_state_when_it_is_cleared(
    runs: Runs, stack: Stack, days: Days, scheduled_run: str, long_training
):
    run_id = runs.trigger(RETRAIN, days.scheduled)
    job = wait_for("a training that has saved its state", lambda: saving_job(stack))
    runs.mark(RETRAIN, run_id, "failed", "fine_tune")
    wait_for("the end of its job", lambda: runs.services.launcher.poll(job).state is JobState.ENDED)
    assert runs.finish(RETRAIN, run_id) == "failed"
    runs.clear(RETRAIN, run_id, "fine_tune")
    log = stack.home / "jobs" / job / "log.txt"
    wait_for("the same job again", lambda: "training resumes after step" in log.read_text())
    wait_for("its task to wait", lambda: runs.states(RETRAIN, run_id)["fine_tune"] == "deferred")
    runs.mark(RETRAIN, run_id, "failed", "fine_tune")
    wait_for("the end of its job", lambda: runs.services.launcher.poll(job).state is JobState.ENDED)
    assert runs.finish(RETRAIN, run_id) == "failed"


@pytest.fixture
def long_training(stack: Stack):
    """The recipe with a training that does not end by itself and saves its state after each step."""
    path = stack.recipes / f"{RECIPE}.yaml"
    short = path.read_text()
    path.write_text(short.replace("epochs: 1\n", "epochs: 1000\n  patience: 1000\n  checkpoint_every_steps: 1\n", 1))
    yield
    path.write_text(short)


def saving_job(stack: Stack) -> str:
    """The name of the training job that runs, once there is a saved state; empty before."""
    launcher = services_of(stack).launcher
    jobs = [path.name for path in (stack.home / "jobs").glob("*-fine-tune-*")]
    saved = list((stack.home / "scratch").rglob("training.safetensors"))
    return next((name for name in jobs if saved and launcher.poll(name).state is JobState.RUNNING), "")


def record_stable_again(runs: Runs) -> str:
    """What serves, recorded as the candidate of the day after the newest; its version."""
    services, state = runs.services, runs.state
    start = state.newest_trained_through
    interval = Interval(label=f"{start:%Y-%m-%d}", start=start, end=start + timedelta(days=1))
    known = [entry.event.candidate for entry in services.ledger.entries(RECIPE) if entry.event.candidate]
    decision = next(candidate.decision for candidate in known if candidate.version == state.stable.version)
    refs = {"package": state.stable.package, "checkpoint": state.stable.checkpoint, "decision": decision}
    return record_candidate_of(services, services.recipe(RECIPE), interval, refs).version
