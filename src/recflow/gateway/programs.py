"""Whether a request comes from a program, by the product names that PyPI's `crawler-user-agents` keeps (MIT)."""

import re
from functools import lru_cache

from crawleruseragents import CRAWLER_USER_AGENTS_DATA

# A shop's own servers and apps ask by these: behind them are shoppers.
_NOT_CRAWLERS = "http-library"
_LONGEST = 512


def is_program(user_agent: str) -> bool:
    """Whether a user agent names a crawler or a headless browser. Agents repeat, and are remembered.

    HTTP libraries are no crawlers: a shop's server that passes on no shopper's agent asks in its own name.
    """
    return _is_program(user_agent[:_LONGEST])


@lru_cache(maxsize=4096)
def _is_program(user_agent: str) -> bool:
    return _crawlers().search(user_agent) is not None


@lru_cache(maxsize=1)
def _crawlers() -> re.Pattern[str]:
    kept = (crawler["pattern"] for crawler in CRAWLER_USER_AGENTS_DATA if _NOT_CRAWLERS not in crawler.get("tags", ()))
    return re.compile("|".join(kept))
