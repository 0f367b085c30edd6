"""Lines of text from bytes, in blocks."""

from collections.abc import Iterator

from recflow.data.sources.unpack import Member
from recflow.errors import BadData

LONGEST_LINE = 1 << 22
_BLOCK_BYTES = 1 << 20
_BOM = "\N{ZERO WIDTH NO-BREAK SPACE}"


def text_lines(stream: Member, name: str, encoding: str) -> Iterator[str]:
    """The lines of a stream with their ends; BadData names the line that is too long or not in the encoding.

    A byte order mark before a line is no part of it: editors write one, and files that were joined have several.
    """
    before = 0
    for block in _whole_lines(stream, name):
        try:
            text = block.decode(encoding)
        except UnicodeDecodeError as error:
            start = block.rfind(b"\n", 0, error.start) + 1
            number = before + block.count(b"\n", 0, error.start) + 1
            raise BadData(
                f"{name} is not {encoding.upper()}",
                expected=f"{encoding.upper()} text",
                seen=f"line {number}: byte {block[error.start]:#04x} at {error.start - start}",
                action="look how the file was written; a file that is wholly in another encoding is read by `encoding`",
            ) from error
        lines = text.split("\n")
        before += len(lines) - 1
        last = lines.pop()
        marked = _BOM in text
        for line in lines:
            yield (line.removeprefix(_BOM) if marked else line) + "\n"
        if last:
            yield last.removeprefix(_BOM)


def _whole_lines(stream: Member, name: str) -> Iterator[bytes]:
    """Blocks that end with a line; the last one may not."""
    rest, before = b"", 0
    while block := stream.read(_BLOCK_BYTES):
        rest += block
        end = rest.rfind(b"\n") + 1
        if end:
            before += rest.count(b"\n", 0, end)
            yield rest[:end]
            rest = rest[end:]
        if len(rest) > LONGEST_LINE:
            seen = f"line {before + 1} is longer"
            raise BadData(f"{name} is no table of records", expected=f"lines of up to {LONGEST_LINE} bytes", seen=seen)
    if rest:
        yield rest
