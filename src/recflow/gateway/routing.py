"""Routing tables as one gateway process knows them: polled, never going back, leased, and kept on disk."""

import asyncio
import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

from pydantic import ValidationError

from recflow.domain.routes import RoutingTable
from recflow.errors import ArtifactCorrupt
from recflow.protocols import Clock, TrafficRouter

_LOG = logging.getLogger(__name__)


class Routes:
    """The newest known table of each recipe.

    A poll reads every table and acknowledges the epochs that no running request is below. The acknowledgement is the
    lease: a recipe that could not be read keeps its last one, and after `lease_s` its routes are stale and it is not
    acknowledged any more. `failures` counts polls that did not come through whole.
    """

    def __init__(
        self, router: TrafficRouter, clock: Clock, gateway: str, recipes: Sequence[str], folder: Path, lease_s: float
    ) -> None:
        self._router, self._clock, self._gateway, self._folder = router, clock, gateway, folder
        self._lease = timedelta(seconds=lease_s)
        self._recipes = tuple(recipes)
        self._tables = {name: self._load(name) for name in recipes}
        self._in_use: Counter[tuple[str, int]] = Counter()
        self._acknowledged: dict[str, int] = {}
        self._leased_at = dict.fromkeys(recipes, clock.now() - self._lease)
        self.failures, self.polled = 0, False

    def stale(self, recipe: str) -> bool:
        """Whether the recipe's lease has run out: its release no longer waits for this gateway."""
        return self._clock.now() - self._leased_at[recipe] >= self._lease

    def table(self, recipe: str) -> RoutingTable:
        """The newest known table; epoch 0 and no version before any."""
        return self._tables[recipe]

    @contextmanager
    def using(self, recipe: str) -> Iterator[RoutingTable]:
        """The table for one request; its epoch is not left behind before the request is over."""
        table = self._tables[recipe]
        self._in_use[recipe, table.epoch] += 1
        try:
            yield table
        finally:
            self._in_use[recipe, table.epoch] -= 1

    async def poll(self) -> bool:
        """Read the tables and acknowledge them; False, logged and counted, when the store does not let us for all."""
        began = self._clock.now()
        read = [recipe for recipe in self._recipes if await self._read(recipe)]
        acknowledged = bool(read) and await self._acknowledge(read, began)
        whole = acknowledged and len(read) == len(self._recipes)
        self.polled = self.polled or acknowledged
        self.failures += not whole
        return whole

    async def _read(self, recipe: str) -> bool:
        try:
            self._adopt(recipe, await asyncio.to_thread(self._router.table, recipe))
        except Exception as error:  # noqa: BLE001 - a poller that dies would keep the routes for ever
            _LOG.warning("the routes of %s were not read: %s", recipe, error)
            return False
        return True

    async def _acknowledge(self, read: Sequence[str], began: datetime) -> bool:
        reached = {name: self._reached(name) for name in self._recipes if name in read or not self.stale(name)}
        due = any(began - self._leased_at[name] >= self._lease / 3 for name in read)
        if reached == self._acknowledged and not due:
            return True
        try:
            lease_s = self._lease.total_seconds()
            await asyncio.to_thread(self._router.acknowledge, self._gateway, reached, lease_s=lease_s)
        except Exception as error:  # noqa: BLE001 - as above
            _LOG.warning("the routes were not acknowledged: %s", error)
            return False
        # From before the write: this gateway believes in its lease for less time than anybody else.
        self._acknowledged = reached
        self._leased_at.update(dict.fromkeys(read, began))
        return True

    async def keep_polling(self, every_s: float) -> None:
        """Poll for ever."""
        while True:
            await asyncio.sleep(every_s)
            await self.poll()

    async def leave(self) -> None:
        """Say goodbye, so that nobody waits for this gateway's lease to run out."""
        try:
            await asyncio.to_thread(self._router.acknowledge, self._gateway, {}, lease_s=0)
        except Exception as error:  # noqa: BLE001 - the lease runs out by itself
            _LOG.warning("goodbye was not written: %s", error)

    def _adopt(self, recipe: str, table: RoutingTable | None) -> None:
        known = self._tables[recipe]
        epoch = table.epoch if table else 0
        if epoch < known.epoch:
            raise ArtifactCorrupt(f"the routes of {recipe} went back", expected=f"epoch {known.epoch}", seen=f"{epoch}")
        if table is not None and table != known:
            self._tables[recipe] = table
            self._save(table)

    def _reached(self, recipe: str) -> int:
        self._in_use = +self._in_use
        running = [epoch for name, epoch in self._in_use if name == recipe]
        return min(running, default=self._tables[recipe].epoch)

    def _load(self, recipe: str) -> RoutingTable:
        try:
            return RoutingTable.model_validate_json((self._folder / f"{recipe}.json").read_bytes())
        except FileNotFoundError:
            pass
        except (OSError, ValidationError) as error:
            _LOG.warning("the last routes of %s cannot be read and are left aside: %s", recipe, error)
        return RoutingTable(recipe=recipe, epoch=0)

    def _save(self, table: RoutingTable) -> None:
        path = self._folder / f"{table.recipe}.json"
        hidden = path.with_suffix(f".{self._gateway}")
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            hidden.write_text(table.model_dump_json())
            hidden.replace(path)
        except OSError as error:
            _LOG.warning("the routes of %s were not kept for the next start: %s", table.recipe, error)
