import sys
import threading
import time
from collections.abc import Callable

import psutil
import pytest

from fakes.fake_launcher import FakeLauncher
from recflow.clients.launcher import ProcessLauncher
from recflow.errors import BadConfiguration, BadData, JobTooLong, TemporaryError, from_exit_code
from recflow.protocols import JobLauncher, JobSpec, JobState, JobStatus

SLEEP = (sys.executable, "-c", "import time; print('up', flush=True); time.sleep(60)")


def exits(code: int) -> tuple[str, ...]:
    return (sys.executable, "-c", f"import sys; print('said before the end'); sys.exit({code})")


def _fake_work(spec: JobSpec) -> int:
    return int(spec.command[-1].rpartition("(")[2].rstrip(")"))


@pytest.fixture(params=["process", "fake"])
def launcher(request, tmp_path):
    if request.param == "fake":
        yield FakeLauncher(_fake_work)
        return
    launcher = ProcessLauncher(tmp_path / "jobs")
    yield launcher
    for name in ("job", "other"):
        launcher.cancel(name)


@pytest.fixture(params=["process", "fake"])
def busy(request, tmp_path):
    """A launcher with a job called `job` that does not end by itself."""
    launcher = FakeLauncher() if request.param == "fake" else ProcessLauncher(tmp_path / "jobs")
    launcher.submit(JobSpec("job", SLEEP))
    yield launcher
    launcher.cancel("job")


def until(launcher: JobLauncher, seen: Callable[[JobStatus], bool], name: str = "job") -> JobStatus:
    while not seen(status := launcher.poll(name)):
        time.sleep(0.02)
    return status


def ended(status: JobStatus) -> bool:
    return status.state is JobState.ENDED


class TestEveryLauncher:
    def test_a_job_nobody_submitted_is_unknown(self, launcher):
        assert launcher.poll("job").state is JobState.UNKNOWN

    @pytest.mark.parametrize("code", [0, 1, 65, 75, 78])
    def test_the_exit_code_of_the_command_arrives(self, launcher, code):
        launcher.submit(JobSpec("job", exits(code)))
        assert until(launcher, ended).exit_code == code

    def test_a_running_job_is_started_once(self, busy):
        busy.submit(JobSpec("job", exits(3)))
        assert busy.poll("job").state is JobState.RUNNING

    def test_an_ended_job_can_be_started_again(self, launcher):
        launcher.submit(JobSpec("job", exits(75)))
        until(launcher, ended)
        launcher.submit(JobSpec("job", exits(0)))
        assert until(launcher, ended).exit_code == 0

    def test_a_cancelled_job_ended_by_a_signal(self, busy):
        busy.cancel("job")
        assert busy.poll("job") == JobStatus(JobState.ENDED, -15, busy.poll("job").log_tail)

    def test_cancelling_what_is_not_running_is_fine(self, launcher):
        launcher.cancel("job")
        launcher.submit(JobSpec("job", exits(0)))
        until(launcher, ended)
        launcher.cancel("job")
        assert launcher.poll("job").exit_code == 0

    def test_jobs_of_different_names_do_not_meet(self, busy):
        busy.cancel("other")
        assert busy.poll("job").state is JobState.RUNNING


class TestProcesses:
    @pytest.fixture
    def real(self, tmp_path):
        launcher = ProcessLauncher(tmp_path / "jobs")
        yield launcher
        launcher.cancel("job")

    def test_the_end_of_the_log_is_shown(self, real):
        real.submit(JobSpec("job", exits(1)))
        assert "said before the end" in until(real, ended).log_tail

    def test_the_environment_reaches_the_command(self, real):
        real.submit(JobSpec("job", ("sh", "-c", "echo $COLOUR"), environment={"COLOUR": "green"}))
        assert "green" in until(real, ended).log_tail

    def test_a_command_that_does_not_exist_ends_the_job(self, real):
        real.submit(JobSpec("job", ("/no/such/command",)))
        assert until(real, ended).exit_code == 127

    def test_a_caller_that_died_meets_its_job_again(self, tmp_path):
        ProcessLauncher(tmp_path / "jobs").submit(JobSpec("job", exits(65)))
        status = until(ProcessLauncher(tmp_path / "jobs"), ended)
        assert isinstance(from_exit_code(status.exit_code, "job ended", status.log_tail), BadData)

    def test_two_submits_at_once_start_it_once(self, real, tmp_path):
        count = f"open({str(tmp_path / 'count')!r}, 'a').write('x')"
        spec = JobSpec("job", (sys.executable, "-c", f"{count}; import time; time.sleep(60)"))
        threads = [threading.Thread(target=real.submit, args=(spec,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        while not (tmp_path / "count").exists() or not (tmp_path / "count").stat().st_size:
            time.sleep(0.02)
        assert (tmp_path / "count").read_text() == "x"

    def test_a_job_whose_runner_was_killed_is_lost(self, real, tmp_path):
        real.submit(JobSpec("job", SLEEP))
        _runner(tmp_path).kill()
        assert until(real, lambda status: status.state is not JobState.RUNNING).state is JobState.LOST

    def test_what_a_lost_job_left_behind_is_ended_before_it_starts_again(self, real, tmp_path):
        real.submit(JobSpec("job", SLEEP))
        until(real, lambda status: "up" in status.log_tail)
        (orphan,) = _runner(tmp_path).children()
        _runner(tmp_path).kill()
        until(real, lambda status: status.state is JobState.LOST)
        real.submit(JobSpec("job", exits(0)))
        assert until(real, ended).exit_code == 0
        assert not orphan.is_running()

    def test_another_process_with_the_same_pid_is_not_the_job(self, real, tmp_path):
        real.submit(JobSpec("job", exits(0)))
        until(real, ended)
        (tmp_path / "jobs" / "job" / "exit_code").unlink()
        (tmp_path / "jobs" / "job" / "process.json").write_text(f'{{"pid": {psutil.Process().pid}, "started": 1.0}}')
        assert real.poll("job").state is JobState.LOST

    def test_a_job_that_runs_too_long_is_ended_with_that_as_its_last_word_and_may_be_started_again(self, real):
        real.submit(JobSpec("job", SLEEP, timeout_s=0.2))
        status = until(real, ended)
        assert status.log_tail.splitlines()[-1] == "recflow: the job was ended because it ran longer than 0 s"
        assert isinstance(from_exit_code(status.exit_code, "job ended", ""), JobTooLong)
        real.submit(JobSpec("job", exits(0)))
        assert until(real, ended).exit_code == 0

    def test_of_a_job_that_runs_too_long_nothing_is_left(self, real, tmp_path):
        real.submit(JobSpec("job", ("sh", "-c", f"setsid sleep 61 & echo $! > {tmp_path}/pid; wait"), timeout_s=0.5))
        assert until(real, ended).exit_code == JobTooLong.exit_code
        assert not psutil.pid_exists(int((tmp_path / "pid").read_text()))

    def test_a_job_that_runs_too_long_says_so_whatever_its_ranks_were_ended_by(self, real):
        rank = "echo 65 > $RECFLOW_JOB_FOLDER/rank_exit; sleep 60"
        real.submit(JobSpec("job", ("sh", "-c", rank), timeout_s=0.5))
        assert until(real, ended).exit_code == JobTooLong.exit_code

    def test_cancel_ends_grandchildren_too(self, real, tmp_path):
        real.submit(JobSpec("job", ("sh", "-c", "setsid sleep 61 & echo up; wait")))
        until(real, lambda status: "up" in status.log_tail)
        family = _runner(tmp_path).children(recursive=True)
        real.cancel("job")
        assert [process for process in family if process.is_running()] == []

    def test_a_killed_command_counts_as_interrupted(self, real):
        real.submit(JobSpec("job", ("sh", "-c", "kill -9 $$")))
        status = until(real, ended)
        assert status.exit_code == -9
        assert isinstance(from_exit_code(-9, "job ended", ""), TemporaryError)

    @pytest.mark.parametrize("name", ["", "../up", "a/b", ".hidden"])
    def test_a_name_cannot_leave_the_folder(self, real, name):
        with pytest.raises(BadConfiguration):
            real.submit(JobSpec(name, exits(0)))


@pytest.mark.timeout(240)
class TestGangs:
    @pytest.fixture
    def real(self, tmp_path):
        launcher = ProcessLauncher(tmp_path / "jobs")
        yield launcher
        launcher.cancel("job")

    def test_every_rank_knows_its_place(self, real, tmp_path):
        script = f"echo $WORLD_SIZE $MASTER_PORT > {tmp_path}/rank_$RANK"
        real.submit(JobSpec("job", ("sh", "-c", script), processes=2))
        assert until(real, ended).exit_code == 0
        places = [(tmp_path / f"rank_{rank}").read_text() for rank in (0, 1)]
        assert places[0] == places[1]
        assert places[0].startswith("2 ")

    def test_one_rank_that_fails_ends_all_and_says_why(self, real):
        real.submit(JobSpec("job", ("sh", "-c", 'test "$RANK" = 1 && exit 65; sleep 60'), processes=2))
        assert until(real, ended).exit_code == 65


def _runner(tmp_path) -> psutil.Process:
    record = (tmp_path / "jobs" / "job" / "process.json").read_text()
    return psutil.Process(int(record.split(":")[1].split(",")[0]))
