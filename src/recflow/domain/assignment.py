"""Assignment: which bucket a user falls into. Sticky, uniform, and drawn anew for every release by its salt."""

import hashlib

BUCKETS = 10_000


def drawn(salt: str, unit: str, below: int) -> int:
    """A whole number from 0 up to, not including, `below` (far less than 2**64), from SHA-256 of salt and unit."""
    digest = hashlib.sha256(f"{salt}\x00{unit}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % below


def bucket(salt: str, user_key: str) -> int:
    """The user's bucket, 0 … 9,999 (hundredths of a percent), from SHA-256 of salt and key."""
    return drawn(salt, user_key, BUCKETS)
