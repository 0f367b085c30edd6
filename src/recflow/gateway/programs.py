"""Whether a request comes from a program, by the product names that PyPI's `crawler-user-agents` keeps (MIT)."""

from functools import lru_cache

from crawleruseragents import is_crawler

# The library that most Android apps ask with: behind it are shoppers.
_OF_APPS = "okhttp"
_LONGEST = 512


def is_program(user_agent: str) -> bool:
    """Whether a user agent names a crawler, a headless browser or an HTTP library. Agents repeat, and are remembered.

    A shop's server that asks in a shopper's name must pass on the shopper's agent.
    """
    return _is_program(user_agent[:_LONGEST])


@lru_cache(maxsize=4096)
def _is_program(user_agent: str) -> bool:
    return bool(is_crawler(user_agent.replace(_OF_APPS, "")))
