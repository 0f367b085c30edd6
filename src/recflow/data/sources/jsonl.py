"""JSON lines as they are delivered: a file that is cut or in another encoding is bad data, named with its line."""

import codecs
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from recflow.errors import BadData

_HALF = re.compile("[\ud800-\udfff]")


def read_jsonl(path: Path) -> Iterator[dict[str, Any]]:
    """One object a line; BadData for bytes that are not UTF-8 and for lines that are no JSON object.

    A byte order mark before a line is no part of it: editors write one, and files that were joined have several.
    """
    with path.open("rb") as stream:
        for number, delivered in enumerate(stream, start=1):
            line = delivered.removeprefix(codecs.BOM_UTF8)
            if line.strip():
                yield _parse(path, number, line)


def _parse(path: Path, number: int, line: bytes) -> dict[str, Any]:
    try:
        value = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise BadData(
            f"{path.name} is not UTF-8", expected="UTF-8 text", seen=f"line {number}: {error.reason}"
        ) from error
    except json.JSONDecodeError as error:
        raise BadData(
            f"{path.name} is cut or broken", expected="JSON lines", seen=f"line {number}: {error.msg}"
        ) from error
    if not isinstance(value, dict):
        raise BadData(f"{path.name} is not a log", expected="one JSON object a line", seen=f"line {number}")
    return value


def as_text(value: Any) -> str | None:
    """A JSON value as delivered text: strings as they are, null as nothing, the rest as JSON.

    Half a character (a lone surrogate) becomes U+FFFD: Arrow takes no such text, and the checks see it.
    """
    if value is None:
        return None
    return _HALF.sub(
        "\N{REPLACEMENT CHARACTER}", value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    )
