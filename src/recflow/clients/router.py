"""Routes from the ledger to the gateways, and their acknowledgements back, both through the object store."""

import logging
from collections.abc import Mapping
from datetime import datetime, timedelta

from pydantic import ValidationError

from recflow.artifacts.frozen import Frozen
from recflow.domain.routes import RoutingTable, routes
from recflow.protocols import Acknowledgement, Clock, Ledger, ObjectStore

_LOG = logging.getLogger(__name__)
_FOLDER = "_gateways/"
_FORGET_AFTER = timedelta(hours=1)


class Lease(Frozen):
    """What a gateway says of itself: the epoch it routes by for each of its recipes, and until when that holds."""

    gateway: str
    epochs: dict[str, int]
    expires_at: datetime


class LedgerRouter:
    """TrafficRouter: the table is folded from the ledger's head, leases are objects `_gateways/<id>.json`.

    Leases are compared with this host's clock: hosts must agree on the time to well below the lease.
    """

    def __init__(self, store: ObjectStore, ledger: Ledger, clock: Clock) -> None:
        self._store, self._ledger, self._clock = store, ledger, clock

    def table(self, recipe: str) -> RoutingTable | None:
        """The routes of the newest ledger entry."""
        head = self._ledger.head(recipe)
        return None if head is None else routes(recipe, head.state)

    def acknowledge(self, gateway: str, epochs: Mapping[str, int], *, lease_s: float) -> None:
        """Write the gateway's lease; a lease of 0 s says goodbye."""
        expires_at = self._clock.now() + timedelta(seconds=lease_s)
        lease = Lease(gateway=gateway, epochs=dict(epochs), expires_at=expires_at)
        self._store.put(f"{_FOLDER}{gateway}.json", lease.model_dump_json().encode())

    def acknowledged(self, recipe: str, epoch: int) -> Acknowledgement:
        """Who has reached the epoch; gateways that do not serve the recipe do not count. Forgets old leases."""
        leases = [lease for key in self._store.list(_FOLDER) if (lease := self._live(key))]
        serving = {lease.gateway: lease.epochs[recipe] for lease in leases if recipe in lease.epochs}
        lagging = tuple(sorted(name for name, reached in serving.items() if reached < epoch))
        return Acknowledgement(live=tuple(sorted(serving)), lagging=lagging)

    def _live(self, key: str) -> Lease | None:
        data = self._store.get(key)
        try:
            lease = Lease.model_validate_json(data or b"")
        except ValidationError:
            _LOG.warning("%s is no lease of a gateway and is ignored", key)
            return None
        if lease.expires_at < self._clock.now() - _FORGET_AFTER:
            self._store.delete(key)
        return lease if lease.expires_at > self._clock.now() else None
