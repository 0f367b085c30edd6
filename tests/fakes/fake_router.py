from collections.abc import Mapping
from datetime import datetime, timedelta

from recflow.domain.routes import RoutingTable
from recflow.errors import StoreUnavailable
from recflow.protocols import Acknowledgement, Clock


class FakeRouter:
    """Routing tables and leases in dictionaries; while `down` is set nothing answers.

    Tables are set by the test. Leases are real, by the given clock, so that a release's waiting can be played through:
    `live_gateways` says who has acknowledged what.
    """

    def __init__(self, clock: Clock, *tables: RoutingTable) -> None:
        self.tables = {table.recipe: table for table in tables}
        self.down = False
        self.live_gateways: dict[str, tuple[Mapping[str, int], datetime]] = {}
        self._clock = clock

    def set(self, table: RoutingTable) -> None:
        self.tables[table.recipe] = table

    def table(self, recipe: str) -> RoutingTable | None:
        self._answer()
        return self.tables.get(recipe)

    def acknowledge(self, gateway: str, epochs: Mapping[str, int], *, lease_s: float) -> None:
        self._answer()
        self.live_gateways[gateway] = (dict(epochs), self._clock.now() + timedelta(seconds=lease_s))

    def acknowledged(self, recipe: str, epoch: int) -> Acknowledgement:
        self._answer()
        serving = ((name, epochs) for name, (epochs, end) in self.live_gateways.items() if end > self._clock.now())
        reached = {name: epochs[recipe] for name, epochs in serving if recipe in epochs}
        lagging = tuple(sorted(name for name, at in reached.items() if at < epoch))
        return Acknowledgement(live=tuple(sorted(reached)), lagging=lagging)

    def _answer(self) -> None:
        if self.down:
            raise StoreUnavailable("the store does not answer")
