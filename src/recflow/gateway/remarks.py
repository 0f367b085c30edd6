"""What is odd about a line's latest requests, for `/readyz`: told as a share, never with an id."""

from collections import deque

_LATEST, _ENOUGH = 1000, 20
_NOBODYS_SHARE = 0.01


class Remarks:
    """The latest 1,000 requests of one recipe: how many carried an id of nobody."""

    def __init__(self, recipe: str) -> None:
        self._recipe = recipe
        self._latest: deque[bool] = deque(maxlen=_LATEST)

    def note(self, *, nobody: bool) -> None:
        """Remember one request."""
        self._latest.append(nobody)

    @property
    def problems(self) -> list[str]:
        """Sentences about what a shop should mend; none before 20 requests."""
        count = len(self._latest)
        if count < _ENOUGH or (nobodys := sum(self._latest) / count) < _NOBODYS_SHARE:
            return []
        told = f"{self._recipe}: {nobodys:.0%} of the last {count} requests had an id that stands for nobody"
        return [f"{told} (such as undefined or guest): it is taken as missing, send null"]
