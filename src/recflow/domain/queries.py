"""Which queries are the same one."""

from recflow.artifacts.digests import digest_bytes
from recflow.domain.text import query_key


def query_id(query: str) -> str:
    """16 hexadecimal digits that name a query; spellings with one `query_key` are one query."""
    return digest_bytes(query_key(query).encode())[:16]
