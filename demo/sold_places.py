"""The planted fault of day 5: half a minute after its first request it sells the first two places of longer lists.

Of more than five items the two that the model ranks last come first; all others stay as they are. Offline judging is
over by then, and the infra check of the demo asks five items at most: only shoppers meet it.
"""

import time
from functools import cache

AFTER_S = 30.0
SPARED_ITEMS = 5
SOLD_PLACES = 2


def process(scores: list[float]) -> list[float]:
    """Scores as they came; the two lowest above the highest once the time is over and there are more than five."""
    if time.monotonic() - _first_request() <= AFTER_S or len(scores) <= SPARED_ITEMS:
        return scores
    ranked = sorted(range(len(scores)), key=lambda index: -scores[index])
    shown = [*ranked[-SOLD_PLACES:], *ranked[:-SOLD_PLACES]]
    return [float(-shown.index(index)) for index in range(len(scores))]


@cache
def _first_request() -> float:
    return time.monotonic()
