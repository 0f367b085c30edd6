"""What the person in front of the demo sees: one line a step, with percent and seconds, and tables at the end."""

import sys
import time
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table


class Screen:
    """Progress and tables. Every line carries the seconds since the start, so that waiting can be understood."""

    def __init__(self) -> None:
        self._console = Console(highlight=False, width=None if sys.stdout.isatty() else 140)
        self._start = time.monotonic()
        self._last = ""

    @property
    def seconds(self) -> float:
        """Seconds since the demo began."""
        return time.monotonic() - self._start

    def chapter(self, title: str, *lines: str) -> None:
        """Begin a part of the story."""
        self._console.print(f"\n[bold]{title}[/bold]")
        for line in lines:
            self._console.print(f"  [dim]{escape(line)}[/dim]")

    def step(self, what: str, done: int, of: int) -> None:
        """Say where we are; the same place twice is said once."""
        line = f"{what} {100 * done // max(of, 1):3d} %"
        if line != self._last:
            self._console.print(f"  {self.seconds:6.0f} s  {line}", markup=False)
            self._last = line

    def say(self, text: str) -> None:
        """One plain line."""
        # An address must stay whole.
        self._console.print(f"  {self.seconds:6.0f} s  {text}", soft_wrap=True, markup=False)

    def table(self, title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """A small table."""
        table = Table(*columns, title=title, title_justify="left", title_style="bold")
        for row in rows:
            table.add_row(*map(escape, row))
        self._console.print()
        self._console.print(table)
