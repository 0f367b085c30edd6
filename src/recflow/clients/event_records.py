"""How the event log keeps its kinds of record: their columns, and SQL that reads both schemas as one table."""

from collections.abc import Iterable, Sequence

import pyarrow as pa

_TIME = pa.timestamp("us", tz="UTC")
_ITEM = pa.struct(
    [("item_id", pa.string()), ("position", pa.int32()), ("score", pa.float64()), ("propensity", pa.float64())]
)
EXPOSURES = pa.schema(
    [
        ("schema_version", pa.int32()),
        ("request_id", pa.string()),
        ("at", _TIME),
        ("recipe", pa.string()),
        ("user_key", pa.string()),
        ("anonymous", pa.bool_()),
        ("marked", pa.string()),
        ("epoch", pa.int64()),
        ("experiment", pa.string()),
        ("arm", pa.string()),
        ("assigned_version", pa.string()),
        ("served_version", pa.string()),
        ("fallback", pa.string()),
        ("query", pa.string()),
        ("items", pa.list_(_ITEM)),
        ("latency_ms", pa.float64()),
        ("context", pa.map_(pa.string(), pa.string())),
        ("candidates", pa.list_(pa.string())),
        ("answer", pa.string()),
        ("erased", pa.bool_()),
    ]
)
OUTCOMES = pa.schema(
    [
        ("schema_version", pa.int32()),
        ("outcome_id", pa.string()),
        ("request_id", pa.string()),
        ("at", _TIME),
        ("recipe", pa.string()),
        ("user_key", pa.string()),
        ("visitor_key", pa.string()),
        ("kind", pa.string()),
        ("item_id", pa.string()),
        ("value", pa.float64()),
        ("erased", pa.bool_()),
    ]
)
_COMPARED = pa.struct(
    [
        ("item_id", pa.string()),
        ("score", pa.float64()),
        ("shadow_score", pa.float64()),
        ("shadow_position", pa.int32()),
    ]
)
COMPARISONS = pa.schema(
    [
        ("schema_version", pa.int32()),
        ("request_id", pa.string()),
        ("at", _TIME),
        ("recipe", pa.string()),
        ("user_key", pa.string()),
        ("epoch", pa.int64()),
        ("experiment", pa.string()),
        ("shown_version", pa.string()),
        ("shadow_version", pa.string()),
        ("query", pa.string()),
        ("items", pa.list_(_COMPARED)),
        ("length", pa.int32()),
        ("tau", pa.float64()),
        ("overlap", pa.float64()),
        ("score_difference", pa.float64()),
        ("erased", pa.bool_()),
    ]
)
# What a column means in a record that was written before the column was.
_MISSING = {
    "schema_version": "1",
    "context": "MAP()::MAP(VARCHAR, VARCHAR)",
    "candidates": "[]::VARCHAR[]",
    "answer": "''",
    "erased": "false",
    "visitor_key": "''",
}
_SQL_TYPES = {
    pa.string(): "VARCHAR",
    pa.bool_(): "BOOLEAN",
    pa.int32(): "INTEGER",
    pa.int64(): "BIGINT",
    pa.float64(): "DOUBLE",
    _TIME: "TIMESTAMPTZ",
}


def _sql_type(kind: pa.DataType) -> str:
    if pa.types.is_map(kind):
        return f"MAP({_sql_type(kind.key_type)}, {_sql_type(kind.item_type)})"
    if pa.types.is_struct(kind):
        return f"STRUCT({', '.join(_sql_fields(kind))})"
    if pa.types.is_list(kind):
        return f"{_sql_type(kind.value_type)}[]"
    return _SQL_TYPES[kind]


def _sql_fields(fields: Iterable[pa.Field]) -> list[str]:
    return [f'"{field.name}" {_sql_type(field.type)}' for field in fields]


class RecordKind:
    """One kind of record: its name in a line, what tells two of them apart, its columns, and how to read it."""

    def __init__(self, name: str, key: tuple[str, ...], schema: pa.Schema) -> None:
        self.name, self.key, self.schema = name, key, schema
        self.sql_type = f"STRUCT({', '.join(_sql_fields(schema))})"
        self.complete = f'{name}.recipe IS NOT NULL AND {name}."at" IS NOT NULL AND {name}.{key[0]} IS NOT NULL'

    def columns(self, names: Sequence[str]) -> str:
        """SQL of these columns, each with its meaning where it is missing."""
        return ", ".join(
            f'coalesce("{name}", {_MISSING[name]}) AS "{name}"' if name in _MISSING else f'"{name}"' for name in names
        )

    def rows(self, segments: Sequence[str], parts: Sequence[str]) -> str:
        """SQL that gives the kind's records of segment files and of Parquet files, of both schemas."""
        nulls = ", ".join(f'NULL::{_sql_type(field.type)} AS "{field.name}"' for field in self.schema)
        sources = [f"(SELECT {nulls} LIMIT 0)"]
        if segments:
            sources.append(f"SELECT unnest({self.name}) FROM {_lines(segments)} WHERE {self.complete}")  # noqa: S608
        if parts:
            sources.append(f"FROM read_parquet({paths_sql(parts)}, union_by_name=true, hive_partitioning=false)")
        return f"SELECT {self.columns(self.schema.names)} FROM ({' UNION ALL BY NAME '.join(sources)})"  # noqa: S608


EXPOSURE = RecordKind("exposure", ("request_id",), EXPOSURES)
OUTCOME = RecordKind("outcome", ("outcome_id", "request_id", "item_id", "kind"), OUTCOMES)
COMPARISON = RecordKind("comparison", ("request_id",), COMPARISONS)
KINDS = (EXPOSURE, OUTCOME, COMPARISON)
# Comparisons are nobody's traffic: no facts are made of them.
WITH_FACTS = (EXPOSURE, OUTCOME)


def torn_lines(segment: str) -> str:
    """SQL that counts the lines of a segment that are no whole record."""
    whole = " OR ".join(f"({kind.complete})" for kind in KINDS)
    return f"SELECT count(*) AS torn FROM {_lines([segment])} WHERE NOT ({whole})"  # noqa: S608


def _lines(segments: Sequence[str]) -> str:
    # With ignore_errors a line that is no JSON becomes a row of nulls.
    columns = ", ".join(f"{kind.name}: '{kind.sql_type}'" for kind in KINDS)
    options = "format='newline_delimited', ignore_errors=true, maximum_object_size=16777216"
    return f"read_json({paths_sql(segments)}, {options}, columns={{{columns}}})"


def paths_sql(paths: Sequence[str]) -> str:
    """A list of paths as SQL."""
    quoted = ", ".join("'" + path.replace("'", "''") + "'" for path in paths)
    return f"[{quoted}]"
