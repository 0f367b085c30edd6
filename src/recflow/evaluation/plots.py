"""One picture of a decision: every finding that has an interval."""

from pathlib import Path

from recflow.artifacts.decisions import Decision, Finding, Verdict

_COLOURS = {Verdict.PASS: "#2a7f3f", Verdict.FAIL: "#b3261e", Verdict.INCONCLUSIVE: "#b26a00"}


def plot_slices(decision: Decision, target: Path, unit: str) -> None:
    """Write a PNG with each difference, its interval and its limit; nothing when no finding has a limit to show."""
    import matplotlib as mpl

    shown = [finding for finding in decision.findings if finding.low is not None and finding.limit is not None]
    if not shown:
        return
    from matplotlib.figure import Figure

    with mpl.rc_context({"font.size": 8}):
        figure = Figure(figsize=(7, 0.5 * len(shown) + 1.2), layout="constrained")
        axes = figure.subplots()
        for row, finding in enumerate(reversed(shown)):
            _draw(axes, row, finding)
        axes.axvline(0, color="#888888", linewidth=0.8)
        axes.set_yticks(range(len(shown)), [finding.rule for finding in reversed(shown)])
        axes.set_xlabel(f"difference by {unit}, with its interval; | is the limit")
        axes.set_title(f"offline gate: {decision.verdict}")
        figure.savefig(target, dpi=110)


def _draw(axes: object, row: int, finding: Finding) -> None:
    colour = _COLOURS.get(finding.verdict, "#666666")
    assert finding.low is not None and finding.high is not None
    axes.plot([finding.low, finding.high], [row, row], color=colour, linewidth=3)  # type: ignore[attr-defined]
    axes.plot([finding.value], [row], "o", color=colour)  # type: ignore[attr-defined]
    axes.plot([finding.limit], [row], "|", color="#222222", markersize=12)  # type: ignore[attr-defined]
