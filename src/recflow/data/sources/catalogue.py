"""Texts of items joined to events, however large either is."""

from pathlib import Path

import duckdb

from recflow.config.sections.sources import ITEM_COLUMNS

# The last record of an item counts. An empty text is none; a text that came with the event stays.
_FILLED = ", ".join(f"coalesce(events.{name}, nullif(items.{name}, '')) AS {name}" for name in ITEM_COLUMNS)
_JOINED = f"""
    WITH items AS (
        SELECT * FROM read_parquet($catalogue, file_row_number = true) WHERE item_id IS NOT NULL
        QUALIFY row_number() OVER (PARTITION BY item_id ORDER BY file_row_number DESC) = 1
    )
    SELECT events.* REPLACE ({_FILLED}) FROM read_parquet($events) AS events LEFT JOIN items USING (item_id)
"""  # noqa: S608 - no input in it
_MEMORY = "512MB"


def with_catalogue(events: Path, catalogue: Path, target: Path) -> None:
    """Write the events to `target` with what is known of their items; of an unknown item nothing is."""
    with database(target.parent) as connection:
        joined = connection.sql(_JOINED, params={"events": str(events), "catalogue": str(catalogue)})
        joined.write_parquet(str(target))


def database(folder: Path) -> duckdb.DuckDBPyConnection:
    """A database in memory that goes on in `folder` when it has used half a gigabyte."""
    return duckdb.connect(config={"memory_limit": _MEMORY, "temp_directory": str(folder / "spill")})
