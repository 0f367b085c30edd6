"""Waiting without a worker: for a job to end, for a release to be due."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent


class JobTrigger(BaseTrigger):
    """Fires when a job no longer runs."""

    def __init__(self, job_name: str, poll_s: float = 0.5) -> None:
        super().__init__()
        self.job_name, self.poll_s = job_name, poll_s

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Where the trigger is imported from, and its arguments."""
        return "recflow_airflow.triggers.JobTrigger", {"job_name": self.job_name, "poll_s": self.poll_s}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Ask the launcher every `poll_s` seconds."""
        from recflow.protocols import JobState
        from recflow.wiring import build_services

        launcher = build_services().launcher
        while (await asyncio.to_thread(launcher.poll, self.job_name)).state is JobState.RUNNING:
            await asyncio.sleep(self.poll_s)
        yield TriggerEvent(self.job_name)

    async def on_kill(self) -> None:
        """End the job of a task that a person has marked or cleared; a clear starts it anew from its saved state."""
        from recflow.wiring import build_services

        await asyncio.to_thread(build_services().launcher.cancel, self.job_name)


class LedgerTrigger(BaseTrigger):
    """Fires when the ledger has moved past `seq`, or after `wait_s` seconds at the latest."""

    def __init__(self, recipe: str, seq: int, wait_s: float, poll_s: float = 1.0) -> None:
        super().__init__()
        self.recipe, self.seq, self.wait_s, self.poll_s = recipe, seq, wait_s, poll_s

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Where the trigger is imported from, and its arguments."""
        arguments = {"recipe": self.recipe, "seq": self.seq, "wait_s": self.wait_s, "poll_s": self.poll_s}
        return "recflow_airflow.triggers.LedgerTrigger", arguments

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look at the ledger's head every `poll_s` seconds."""
        from recflow.wiring import build_services

        ledger = build_services().ledger
        loop = asyncio.get_running_loop()
        due = loop.time() + self.wait_s
        while loop.time() < due:
            head = await asyncio.to_thread(ledger.head, self.recipe)
            if head is not None and head.seq > self.seq:
                break
            await asyncio.sleep(min(self.poll_s, max(due - loop.time(), 0.05)))
        yield TriggerEvent(self.recipe)
