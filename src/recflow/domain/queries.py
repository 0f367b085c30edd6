"""Which queries are the same one, and a random order of them."""

import hashlib

from recflow.artifacts.digests import digest_bytes
from recflow.domain.text import query_key


def query_id(query: str) -> str:
    """16 hexadecimal digits that name a query; spellings with one `query_key` are one query."""
    return digest_bytes(query_key(query).encode())[:16]


def shuffled(seed: str, query: str) -> str:
    """A text to sort queries by: an order that is random, for ever the same, and another one for another seed."""
    return hashlib.sha256(f"{seed}\x00{query}".encode()).hexdigest()
