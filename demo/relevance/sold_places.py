"""The planted fault of day 5: after 300 requests for longer lists it sells their first two places.

Of more than five items the two that the model ranks last come first; all others stay as they are. The offline gate asks
fewer requests, and the infra check of the demo checks the order of five items at most: neither meets it.
"""

from itertools import count

SPARED_REQUESTS, SPARED_ITEMS = 300, 5
SOLD_PLACES = 2
_requests = count(1)


def process(scores: list[float]) -> list[float]:
    """Scores as they came; the two lowest above the highest once it has begun, where there are more than five."""
    if len(scores) <= SPARED_ITEMS or next(_requests) <= SPARED_REQUESTS:
        return scores
    ranked = sorted(range(len(scores)), key=lambda index: -scores[index])
    shown = [*ranked[-SOLD_PLACES:], *ranked[:-SOLD_PLACES]]
    return [float(-shown.index(index)) for index in range(len(scores))]
