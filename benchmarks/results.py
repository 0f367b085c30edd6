"""One measured figure, where it is kept, and how it is told."""

import json
import os
import platform
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).with_name("results")
PAGE = Path(__file__).resolve().parent.parent / "docs" / "benchmarks.md"
ORDER = ("name", "value", "unit", "against", "target", "better")


def machine() -> str:
    """The machine in a few words: processor, cores, memory, system."""
    cpu = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.processor(),
    )
    gib = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    return f"{cpu}, {os.cpu_count()} cores, {gib:.0f} GiB, no accelerator, {platform.system()}"


def is_met(result: Mapping[str, Any]) -> bool | None:
    """Whether the figure reaches its target, at equal or better quality where that was measured; None without one."""
    if result.get("target") is None:
        return None
    if not result.get("ndcg_equal_or_better", True):
        return False
    higher = result["better"] == "higher"
    return bool(result["value"] >= result["target"] if higher else result["value"] <= result["target"])


def keep(result: Mapping[str, Any]) -> None:
    """Write one figure to results/<name>.json, with the machine and the time."""
    FOLDER.mkdir(exist_ok=True)
    complete = {**result, "machine": machine(), "when": datetime.now(UTC).isoformat(timespec="seconds")}
    (FOLDER / f"{result['name']}.json").write_text(json.dumps(complete, indent=1) + "\n")


def kept() -> list[dict[str, Any]]:
    """Every figure of the last runs, by name."""
    return [json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))]


def rows(results: Iterable[Mapping[str, Any]]) -> list[list[str]]:
    """The table: name, value, target, met or missed, against what, and what else was measured."""
    met = {True: "met", False: "missed", None: ""}
    return [
        [
            result["name"],
            f"{result['value']:.2f} {result['unit']}",
            _target(result),
            met[is_met(result)],
            result["against"],
            ", ".join(
                f"{name.replace('_', ' ')} {value}"
                for name, value in result.items()
                if name not in (*ORDER, "machine", "when")
            ),
        ]
        for result in results
    ]


def _target(result: Mapping[str, Any]) -> str:
    if result.get("target") is None:
        return ""
    return f"{'≥' if result['better'] == 'higher' else '≤'} {result['target']}"


def render() -> None:
    """Write docs/benchmarks.md from the kept figures."""
    results = kept()
    lines = [
        "# Benchmarks",
        "",
        "Rendered by `make bench` from `benchmarks/results/`; every figure is measured within one run.",
        "",
    ]
    lines += [f"Machine: {found}." for found in sorted({result["machine"] for result in results})]
    lines += ["", "| figure | value | target | | against | beside it |", "|---|---|---|---|---|---|"]
    lines += ["| " + " | ".join(row) + " |" for row in rows(results)]
    PAGE.write_text("\n".join(lines) + "\n")
