from collections.abc import Callable

from recflow.protocols import JobSpec, JobState, JobStatus


class FakeLauncher:
    """Runs each job's `work` at once, in this process, and gives its number back as the exit code.

    With `work=None` a submitted job keeps running until the test calls `end` or `lose`.
    """

    def __init__(self, work: Callable[[JobSpec], int] | None = None) -> None:
        self.work = work
        self.submitted: list[JobSpec] = []
        self._status: dict[str, JobStatus] = {}

    def submit(self, spec: JobSpec) -> None:
        if self.poll(spec.name).state is JobState.RUNNING:
            return
        self.submitted.append(spec)
        self._status[spec.name] = JobStatus(JobState.RUNNING)
        if self.work is not None:
            self.end(spec.name, self.work(spec))

    def poll(self, name: str) -> JobStatus:
        return self._status.get(name, JobStatus(JobState.UNKNOWN))

    def cancel(self, name: str) -> None:
        if self.poll(name).state is JobState.RUNNING:
            self.end(name, -15)

    def end(self, name: str, exit_code: int, log_tail: str = "") -> None:
        self._status[name] = JobStatus(JobState.ENDED, exit_code, log_tail)

    def lose(self, name: str, log_tail: str = "") -> None:
        self._status[name] = JobStatus(JobState.LOST, None, log_tail)
