"""Where the events of an interval come from, and what their columns are called there."""

import codecs
import re
from datetime import date
from pathlib import PurePosixPath
from string import Formatter
from typing import Annotated, Literal, Self, get_args

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from recflow.artifacts.frozen import Frozen
from recflow.config.zones import known_zone

Delivered = Literal[
    "event_id", "at", "kind", "request_id", "user_key", "query", "item_id", "title", "description",
    "position", "grade", "value",
]  # fmt: skip
# What else a shop tells of its items and in its events (a review's words and stars): delivered as text.
OfItem = Literal["price", "category", "seller", "language", "attributes"]
OfAct = Literal["session_id", "text", "rating"]
EVENT_COLUMNS: tuple[str, ...] = get_args(Delivered)
ITEM_COLUMNS: tuple[str, ...] = ("title", "description", *get_args(OfItem))
DELIVERY_COLUMNS: tuple[str, ...] = (*EVENT_COLUMNS, *get_args(OfItem), *get_args(OfAct))
Unit = Literal["seconds", "milliseconds", "microseconds"]
UNITS: dict[str, int] = {"seconds": 1, "milliseconds": 1_000, "microseconds": 1_000_000}


def _time_format(text: str) -> str:
    if text != "iso" and text not in UNITS and not re.search(r"%[YyGcx]", text):
        raise ValueError(f"{text}: write iso, {', '.join(UNITS)}, or a format with a year such as %d.%m.%Y %H:%M")
    return text


def _regex(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"{text} is no pattern: {error}") from error
    return text


class ColumnRule(Frozen):
    """How one column is made: from a column of the source, a constant, or the start of the day.

    In this order: `map`, `match`, then `decimal`, `times`, `scale`, `offset`, then `time` or `id_of_text`. A value that
    does not fit stays as it was delivered, and the checks find it.
    """

    column: str = Field(default="", description="Its name in the source; a.b reaches into an object of JSON lines.")
    constant: str | None = None
    day_start: bool = Field(default=False, description="The first moment of the day, for rows without a time.")
    optional: bool = Field(default=False, description="A source without this column gives no value, and is no error.")
    map: dict[str, str] = Field(default_factory=dict, description="Values and what they are called here.")
    match: dict[Annotated[str, AfterValidator(_regex)], str] = Field(
        default_factory=dict,
        description="Patterns, the first that fits the whole value, and what such values are called: {'-.+': return}.",
    )
    times: str = Field(default="", description="Another column of the source; numbers are multiplied by its number …")
    decimal: Literal[".", ","] = Field(default=".", description="Decimal sign; with a comma, dots part thousands.")
    scale: float = Field(default=1, ge=-1e9, le=1e9, description="… and by this …")
    offset: float = Field(
        default=0, ge=-1e15, le=1e15, description="… and then get this added: 1 for positions that count from 0."
    )
    absolute: bool = Field(default=False, description="Without the sign: what was given back, not minus what was paid.")
    time: tuple[Annotated[str, AfterValidator(_time_format)], ...] = Field(
        default=(),
        description="Formats, the first that fits: iso, seconds, milliseconds, microseconds, or as %d.%m.%Y.",
    )
    id_of_text: bool = Field(default=False, description="The id of whatever has this text: t- and 12 digits of a hash.")

    @model_validator(mode="after")
    def _made_of_one_thing(self) -> Self:
        if self.times and not self.column:
            raise ValueError("times: say in column which numbers are multiplied")
        if (self.column != "") + (self.constant is not None) + self.day_start != 1:
            raise ValueError("say one of column, constant and day_start")
        return self

    @property
    def columns(self) -> tuple[str, ...]:
        """The source's columns that it reads."""
        return tuple(name for name in (self.column, self.times) if name)

    @property
    def is_number(self) -> bool:
        """Whether values are read as numbers and written anew."""
        return self.decimal != "." or self.times != "" or self.scale != 1 or self.offset != 0 or self.absolute


def _named(value: object) -> object:
    return {"column": value} if isinstance(value, str) else value


Columns = dict[
    Delivered | OfItem | OfAct, Annotated[ColumnRule, BeforeValidator(_named, json_schema_input_type=ColumnRule | str)]
]


def _pattern(text: str) -> str:
    for _, name, form, conversion in Formatter().parse(text):
        if name is not None and (name != "date" or not form or conversion):
            raise ValueError(f"{text}: the only placeholder is the day, as {{date:%Y-%m-%d}}")
    parts = PurePosixPath(text).parts
    if not parts or text.startswith("/") or ".." in parts or "**" in parts:
        raise ValueError(f"{text}: write a path below the source's folder, * stands for anything in one name")
    return text


def _encoding(text: str) -> str:
    try:
        known = codecs.lookup(text).name
        plain = "a,b\n".encode(known) == b"a,b\n"
    except LookupError as error:
        raise ValueError(f"{text} is no encoding; utf-8 and cp1252 are") from error
    if not plain:
        raise ValueError(f"{text}: only encodings that write a comma as ASCII does can be read")
    return known


class Spread(Frozen):
    """Rows without a date: each gets one of `days` days, from `first_day`, by a hash of `column`, for ever the same."""

    column: str
    days: int = Field(ge=1, le=3650)
    first_day: date


class SqlTable(Frozen):
    """A table or view of a database that SQLAlchemy knows."""

    url_file: str = Field(description="File with the database's URL, below the source's folder; its owner's alone.")
    table: str
    db_schema: str = ""
    time_column: str = Field(
        description="Rows with start <= time < end are the day's; without a zone of its own, by `zone`."
    )


class Table(Frozen):
    """Files or a database table with the same columns. Exactly one of `files` and `sql`."""

    files: tuple[Annotated[str, AfterValidator(_pattern)], ...] = Field(
        default=(), description="Patterns such as events/{date:%Y-%m-%d}/*.csv.gz: plain, .gz, .zip, .tar, .tar.gz."
    )
    sql: SqlTable | None = None
    format: Literal["", "csv", "jsonl", "parquet"] = Field(default="", description="Empty: by the file's name.")
    delimiter: str = Field(default=",", min_length=1, max_length=1, description="Of CSV.")
    quoted: bool = Field(default=True, description="Of CSV: false where quotes are signs like all others.")
    encoding: Annotated[str, AfterValidator(_encoding)] = Field(default="utf-8", description="Of CSV and JSON lines.")
    only: dict[str, tuple[str, ...]] = Field(
        default_factory=dict,
        description="Columns of the source and the values whose rows are read; others are not ours.",
    )
    own_times: bool = Field(default=False, description="Of one file with many days: rows with a time of this day.")
    spread: Spread | None = None
    columns: Columns = Field(description="Our columns, each with its name in the source or how it is made.")

    @model_validator(mode="after")
    def _read_somewhere(self) -> Self:
        if bool(self.files) == bool(self.sql):
            raise ValueError("say one of files and sql")
        if self.own_times and "at" not in self.columns:
            raise ValueError("own_times: columns.at says which time is meant")
        return self

    @property
    def dated(self) -> bool:
        """Whether it is told which rows are a day's."""
        by_name = all("{date" in pattern for pattern in self.files)
        return bool(self.sql or self.own_times or self.spread or by_name)


class SourceSection(Frozen):
    """Where the events of an interval come from.

    `tables` reads what `events` and `catalogue` say. `shop` and `crowdflower` are such tables with customary names
    (`src/recflow/data/sources/customary.py`), `gateway_log` is the gateway's own log with a catalogue.
    """

    adapter: Literal["tables", "crowdflower", "shop", "gateway_log"] = "shop"
    path: str = Field(
        default="", description="Folder, relative to RECFLOW_SOURCE_ROOT, or s3://bucket/prefix?endpoint_override=…"
    )
    zone: str = Field(
        default="", description="Zone of times without an offset, as Europe/Berlin; empty: such a day is refused."
    )
    max_unpacked_gb: float = Field(
        default=50, gt=0, le=100_000, description="More in a day's unpacked files is a broken or hostile archive."
    )
    events: tuple[Table, ...] = Field(default=(), description="tables only: what gives rows, one after the other.")
    catalogue: Table | None = Field(
        default=None, description="Texts by item_id: a day's file is the newest that is not younger than the day."
    )
    days: int = Field(
        default=30, ge=1, le=3650, description="crowdflower only: rows have no date and are spread over days."
    )
    first_day: date = Field(default=date(2011, 1, 1), description="crowdflower only: the first of those days.")

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.zone:
            known_zone(self.zone)
        if re.match(r"s3://[^/?]*@|s3://.*[?&](access_key|secret_key)=", self.path):
            raise ValueError("path: keys of a bucket belong in the environment (AWS_ACCESS_KEY_ID …), not in a recipe")
        if (self.adapter == "tables") != bool(self.events):
            raise ValueError("adapter: tables, and only that, needs events: what gives rows")
        if not all(table.dated for table in self.events):
            raise ValueError("events: every day would read the same rows: say {date:…} in files, own_times or spread")
        if self.catalogue and "item_id" not in self.catalogue.columns:
            raise ValueError("catalogue: columns.item_id says what a text belongs to")
        return self
