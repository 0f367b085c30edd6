"""Assignment: which bucket a user falls into. Sticky, uniform, and drawn anew for every release by its salt."""

import hashlib

BUCKETS = 10_000


def bucket(salt: str, user_key: str) -> int:
    """The user's bucket, 0 … 9,999 (hundredths of a percent), from SHA-256 of salt and key."""
    digest = hashlib.sha256(f"{salt}\x00{user_key}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % BUCKETS
