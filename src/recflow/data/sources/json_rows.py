"""JSON lines as they are delivered: a file that is cut or in another encoding is bad data, named with its line."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa

from recflow.data.sources.batches import Batch, in_batches, texts
from recflow.data.sources.lines import text_lines
from recflow.data.sources.unpack import Member
from recflow.errors import BadData


def read_json(stream: Member, name: str, wanted: Sequence[str], *, encoding: str) -> Iterator[Batch]:
    """Batches with those of the `wanted` columns that an object of the batch has; a.b is b of the object a.

    BadData for lines that `text_lines` refuses or that are no JSON object.
    """
    for some in in_batches(_objects(stream, name, encoding)):
        objects = [value for _, value in some]
        columns = {}
        for column in wanted:
            values = [value.get(column) for value in objects]
            if "." in column:
                values = [_reach(value, column) for value in objects]
            if any(value is not None for value in values) or any(column in value for value in objects):
                columns[column] = texts([as_text(value) for value in values])
        rows = pa.array([number for number, _ in some], pa.int64())
        yield Batch(columns, rows, pa.nulls(len(some), pa.string()))


def _objects(stream: Member, name: str, encoding: str) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(text_lines(stream, name, encoding), start=1):
        if line.strip():
            yield number, _parse(name, number, line)


def _parse(name: str, number: int, line: str) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:  # a number of thousands of digits is a plain ValueError
        seen = f"line {number}: {getattr(error, 'msg', error)}"
        raise BadData(f"{name} is cut or broken", expected="JSON lines", seen=seen) from error
    if not isinstance(value, dict):
        raise BadData(f"{name} is not a log", expected="one JSON object a line", seen=f"line {number}")
    return value


def _reach(value: dict[str, Any], path: str) -> Any:
    """What stands under a key, or under its parts one after the other."""
    if path in value:
        return value[path]
    head, _, rest = path.partition(".")
    inner = value.get(head)
    return _reach(inner, rest) if rest and isinstance(inner, dict) else None


def as_text(value: Any) -> str | None:
    """A JSON value as delivered text: strings as they are, null as nothing, the rest as JSON."""
    if value is None or isinstance(value, str):
        return value
    return str(value) if type(value) is int else json.dumps(value, ensure_ascii=False)
