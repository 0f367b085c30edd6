"""The embedded engine as tests open it."""

from functools import partial

from recflow.engine.duckdb_engine import open_duckdb

duckdb_engine = partial(open_duckdb, memory_mb=512)
