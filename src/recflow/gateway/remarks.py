"""What is odd about a line's latest requests, for `/readyz`: told as shares, never with an id."""

from collections import deque

from recflow.artifacts.events import Exposure
from recflow.gateway.assigning import BOT

_LATEST, _ENOUGH = 1000, 20
_NOBODYS_SHARE, _PROGRAMS_SHARE = 0.01, 0.9


class Remarks:
    """The latest 1,000 requests of one recipe: how many carried an id of nobody, how many came from programs."""

    def __init__(self, recipe: str) -> None:
        self._recipe = recipe
        self._latest: deque[tuple[bool, bool]] = deque(maxlen=_LATEST)

    def note(self, exposure: Exposure, *, nobody: bool) -> None:
        """Remember one request."""
        self._latest.append((nobody, exposure.marked == BOT))

    @property
    def problems(self) -> list[str]:
        """Sentences about what a shop should mend; none before 20 requests."""
        count = len(self._latest)
        if count < _ENOUGH:
            return []
        nobodys, programs = (sum(column) / count for column in zip(*self._latest, strict=True))
        found = []
        if nobodys >= _NOBODYS_SHARE:
            found.append(
                f"{self._recipe}: {nobodys:.0%} of the last {count} requests had an id that stands for nobody"
                " (such as undefined or guest): it is taken as missing, send null"
            )
        if programs >= _PROGRAMS_SHARE:
            found.append(
                f"{self._recipe}: {programs:.0%} of the last {count} requests came from programs, which are outside"
                " experiments: a server that asks for shoppers must pass on their User-Agent"
            )
        return found
