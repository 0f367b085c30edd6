"""A look at a hundred million exposures: minutes to write, and 4 GB of disk, so only when asked for."""

from typing import Any

from benchmarks.experiment_looks import SIZE, measure_look

SECONDS = 20.0


def measure(quick: bool) -> list[dict[str, Any]]:
    """Seconds and MiB of a look."""
    return measure_look(SIZE // 100 if quick else 10 * SIZE, SECONDS)
