"""Texts of items joined to events, however large either is."""

from pathlib import Path

import duckdb

# The last record of an item counts. An empty text is none; a text that came with the event stays.
_JOINED = """
    WITH items AS (
        SELECT item_id, nullif(title, '') AS title, nullif(description, '') AS description
        FROM read_parquet($catalogue, file_row_number = true) WHERE item_id IS NOT NULL
        QUALIFY row_number() OVER (PARTITION BY item_id ORDER BY file_row_number DESC) = 1
    )
    SELECT events.* REPLACE (coalesce(events.title, items.title) AS title,
                             coalesce(events.description, items.description) AS description)
    FROM read_parquet($events) AS events LEFT JOIN items USING (item_id)
"""
_MEMORY = "1GB"


def with_catalogue(events: Path, catalogue: Path, target: Path) -> None:
    """Write the events to `target` with title and description of their items; an unknown item has neither."""
    with database(target.parent) as connection:
        joined = connection.sql(_JOINED, params={"events": str(events), "catalogue": str(catalogue)})
        joined.write_parquet(str(target))


def database(folder: Path) -> duckdb.DuckDBPyConnection:
    """A database in memory that goes on in `folder` when it has used a gigabyte."""
    return duckdb.connect(config={"memory_limit": _MEMORY, "temp_directory": str(folder / "spill")})
