"""The rows that travel through this room: as delivered (text), and as a partition holds them (typed)."""

import pyarrow as pa

TEXTS = ("query", "title", "description")
# Free texts, and those of them that people typed.
FREE = (*TEXTS, "text")
OF_PEOPLE = ("query", "text")
IDS = ("event_id", "kind", "request_id", "user_key", "item_id")
NUMBERS = ("position", "grade", "value")

# What else a shop tells of items and acts, carried as it was delivered, but for people's `text`: profiles count it.
CARRIED = ("price", "category", "seller", "language", "attributes", "session_id", "text", "rating")
COLUMNS = ("event_id", "at", "kind", "request_id", "user_key", "query", "item_id", "title", "description", *NUMBERS)

# Where a row was delivered: a file and a number that is unique in it.
PLACE = ("source_file", "source_row")

# Why a record could not be told apart into columns, a colon, and its line as it was delivered; null for whole ones.
DAMAGE = "damage"

# As delivered: every value is the text that the source gave, null where it gave none. quarantine.parquet holds such
# rows with their PLACE, DAMAGE, `reasons`, a list of the names of the checks they broke, and `releasable`: whether a
# partition could hold them, should a person release them.
QUARANTINE = "quarantine.parquet"
ROWS = "rows.parquet"
DELIVERED = pa.schema([(name, pa.string()) for name in (*COLUMNS, *CARRIED)])

# `kind` is judgement, impression, an outcome that the recipe names or one of its `data.other_kinds`. `position` counts
# from 1, 0 is none; `grade` is 0 … 3 and only judgements have one; `value` is what an outcome was worth.
PARTITION = pa.schema(
    [
        *[(name, pa.timestamp("us", tz="UTC") if name == "at" else pa.string()) for name in COLUMNS[:-3]],
        ("position", pa.int32()),
        ("grade", pa.float32()),
        ("value", pa.float32()),
        *[(name, pa.string()) for name in CARRIED],
    ]
)
