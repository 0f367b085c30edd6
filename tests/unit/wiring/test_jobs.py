"""What the caller of a job learns of its end."""

import sys
from types import SimpleNamespace

import pytest

from fakes.deliveries import day, recipe
from fakes.fake_launcher import FakeLauncher
from recflow.artifacts.refs import RefKind
from recflow.cli.main import run
from recflow.config.recipe import ScheduleSection
from recflow.config.settings import Settings
from recflow.errors import JobFailed, JobInterrupted, JobTooLong, StoreFull
from recflow.stages import StageOutput, StageSpec
from recflow.wiring import STAGES, Services, Stage, StageCall, collect_job, submit_stage

CALL = StageCall("bake", recipe(), day(), {})


@pytest.fixture
def services(tmp_path, monkeypatch):
    """Jobs run at once in this process, by the command that they would be started with."""
    monkeypatch.setenv("RECFLOW_HOME", str(tmp_path))
    services = Services(Settings(home=tmp_path))
    services.launcher = FakeLauncher(lambda spec: run(spec.command[3:]))
    return services


@pytest.fixture
def bake(monkeypatch):
    """Say what the stage `bake` does."""

    def install(function):
        monkeypatch.setitem(sys.modules, "bakery", SimpleNamespace(run=function))
        monkeypatch.setitem(STAGES, "bake", Stage(StageSpec("bake", 1, RefKind.DATASET, (), (), heavy=True), "bakery"))

    return install


def burn(context):
    raise StoreFull("no space for the cake")


def test_the_result_of_a_job_is_the_stages_result(services, bake):
    bake(lambda _: StageOutput(numbers={"cakes": 1}))
    submit_stage(services, CALL)
    assert collect_job(services, CALL.job_name).numbers == {"cakes": 1}


def test_an_error_of_ours_comes_back_as_itself_with_the_command_to_repeat_it(services, bake):
    bake(burn)
    submit_stage(services, CALL)
    with pytest.raises(StoreFull, match="no space for the cake") as raised:
        collect_job(services, CALL.job_name)
    assert "run it by hand: " in raised.value.__notes__[0]


def test_the_error_of_an_earlier_try_is_not_taken_for_this_ones(services, bake):
    bake(burn)
    submit_stage(services, CALL)
    services.launcher.work = None
    submit_stage(services, CALL)
    services.launcher.end(CALL.job_name, 75)
    with pytest.raises(JobInterrupted):
        collect_job(services, CALL.job_name)


def test_a_job_that_left_no_word_is_explained_by_the_end_of_its_log(services):
    services.launcher.work = None
    submit_stage(services, StageCall("package", recipe(), day(), {}))
    name = services.launcher.submitted[-1].name
    services.launcher.end(name, 70, log_tail="step 1\n" * 500 + "KeyError: 'cake'\n")
    with pytest.raises(JobFailed, match="KeyError: 'cake'"):
        collect_job(services, name)


def test_a_job_that_met_its_recipes_limit_says_so_and_is_not_tried_again_by_itself(services):
    services.launcher.work = None
    short = recipe().model_copy(update={"schedule": ScheduleSection(max_job_hours=0.5)})
    submit_stage(services, StageCall("package", short, day(), {}))
    job = services.launcher.submitted[-1]
    assert job.timeout_s == 1800
    services.launcher.end(
        job.name, 124, log_tail="step 9\nrecflow: the job was ended because it ran longer than 1,800 s\n"
    )
    with pytest.raises(JobTooLong, match="ran longer than 1,800 s"):
        collect_job(services, job.name)


def test_the_limit_is_no_part_of_a_jobs_name_so_that_one_with_more_time_goes_on_where_it_was():
    longer = recipe().model_copy(update={"schedule": ScheduleSection(max_job_hours=12)})
    assert StageCall("package", longer, day(), {}).job_name == StageCall("package", recipe(), day(), {}).job_name


@pytest.mark.parametrize("word", ["", '{"error": "StoreF', '{"error": "FromAnotherVersion", "what": "it"}'])
def test_a_word_that_cannot_be_read_is_no_word(services, bake, word):
    bake(burn)
    submit_stage(services, CALL)
    (services.settings.home / "calls" / CALL.job_name / "error.json").write_text(word)
    with pytest.raises(JobInterrupted):
        collect_job(services, CALL.job_name)


def test_a_killed_job_is_interrupted_whatever_an_earlier_try_said(services, bake):
    bake(burn)
    submit_stage(services, CALL)
    services.launcher.lose(CALL.job_name)
    with pytest.raises(JobInterrupted):
        collect_job(services, CALL.job_name)
