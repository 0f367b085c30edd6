"""A day against the recent past: what is unlike the days before it, and what is plainly broken.

Each number of a day (`measures.py`) is compared with the median of the last days and with that of the same weekdays,
whichever is nearer, and is unusual where it is further from both than chance, at the size of the day, and the usual
spread between days explain (`domain/drift.py`). How its rows lie over values is compared by the Jensen-Shannon
divergence, likewise.
How far that is allows for some two hundred numbers a day: docs/results/recent_past.md counts false alarms and misses.

Past days are no part of what a partition is made of: their references travel beside the stage's inputs and are left out
of its key (`StageSpec.beside`), so that a rerun finds its partition although the past has changed since.
"""

import logging
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date
from statistics import median, quantiles
from typing import Any, Literal

from recflow.artifacts.refs import Ref
from recflow.config.sections.recent import Aspect, RecentSection, Severity
from recflow.data.measures import Measure, Shape, measures, shapes
from recflow.data.profile import PROFILE, Profile
from recflow.domain.drift import (
    Departure,
    chance_divergence,
    departure,
    divergence,
    plainly,
    students,
)
from recflow.errors import BadData, PermanentError
from recflow.storage import ArtifactStore

LOG = logging.getLogger(__name__)
_LAST_DAYS = 7
_USUAL_DEVIATIONS = 3.0  # before it is widened for few days; chosen on other seeds than are reported
LEAST_DIVERGENCE = 0.01  # of two halves: 50 and 50 against 64 and 36 of a hundred
_LEAST_GONE = 20  # rows of a kind, or units of a column, below which their absence may be luck
_TOLD = 10  # findings in an error or a log

Verdict = Literal["usual", "unusual", "broken"]


@dataclass(frozen=True)
class PastDay:
    """A day before: the rows that were delivered, and its profile unless its partition is older than profiles."""

    label: str
    rows_in: int
    profile: Profile | None


@dataclass(frozen=True)
class Finding:
    """What one number of the day is, what it usually is and between which bounds; `score` beyond `limit` is unusual.

    Of a distribution the value is its divergence from the usual one.
    """

    name: str
    aspect: Aspect
    severity: Severity
    verdict: Verdict
    value: float
    usual: float
    low: float
    high: float
    score: float
    limit: float

    @property
    def refuses(self) -> bool:
        """Whether the day is refused for it."""
        return self.verdict == "broken" and self.severity == "blocking"

    def __str__(self) -> str:
        return f"{self.name} {self.value:.4g}, usually {self.usual:.4g} ({self.low:.4g} … {self.high:.4g})"


def past_days(artifacts: ArtifactStore, refs: Sequence[Ref]) -> list[PastDay]:
    """What is known of past partitions; one that was deleted meanwhile, or cannot be read, is left out and told."""
    found = []
    for ref in refs:
        try:
            manifest, told = artifacts.manifest(ref), artifacts.read(ref, PROFILE)
        except PermanentError as error:
            LOG.warning("a past partition is left out of the comparison: %s", error)
            continue
        profile = None if told is None else Profile.model_validate_json(told)
        found.append(PastDay(manifest.interval.label, int(str(manifest.numbers["rows_in"])), profile))
    return found


def many_times(rows: int, label: str, past: Sequence[PastDay], section: RecentSection) -> BadData | None:
    """What refuses a day of many times the usual rows, from the first past day on, before anything is computed."""
    if not past or section.severity.volume != "blocking":
        return None
    usual = max(median(day.rows_in for day in days) for days in _against([day.label for day in past], past, label))
    if rows <= usual * section.max_rows_ratio:
        return None
    return BadData(
        f"{label} has {rows / usual:.1f} times the usual rows",
        expected=f"at most {section.max_rows_ratio:g} times {usual:.0f}",
        seen=f"{rows} rows",
        action="look for a feed that was joined or replayed; if the day is real, raise data.recent.max_rows_ratio",
    )


def judge_against(profile: Profile, past: Sequence[Profile], section: RecentSection) -> list[Finding]:
    """What is found of each number and distribution of the day; none where fewer than `min_days` days are known."""
    if len(past) < section.min_days:
        return []
    kinds = frozenset(kind for day in (profile, *past) for kind in day.kinds)
    told = [measures(day, kinds) for day in past]
    seen = [shapes(day) for day in past]
    found = [
        _of_measure(name, measure, profile, past, [day.get(name) for day in told], section)
        for name, measure in measures(profile, kinds).items()
    ]
    found += [
        _of_shape(name, shape, profile, past, [day.get(name) for day in seen], section)
        for name, shape in shapes(profile).items()
    ]
    return [finding for finding in found if finding is not None]


def report_of(findings: Sequence[Finding], past: Sequence[Profile], section: RecentSection) -> dict[str, Any]:
    """What the day's report says: with how many days it was compared, and all numbers."""
    few = f"{len(past)} past days are known, {section.min_days} are needed: not judged"
    return {
        "days": [day.label for day in past],
        "verdict": few if len(past) < section.min_days else _worst(findings),
        "findings": [asdict(finding) for finding in findings],
    }


def warn(findings: Sequence[Finding], label: str) -> int:
    """Log what is unusual of a day; how many findings that are."""
    unusual = [finding for finding in findings if finding.verdict != "usual" and not finding.refuses]
    for finding in sorted(unusual, key=lambda one: -one.score)[:_TOLD]:
        LOG.warning("%s is unlike the days before it: %s", label, finding)
    return len(unusual)


def plainly_broken(findings: Sequence[Finding], label: str) -> BadData | None:
    """What refuses a day of which something is plainly broken, where the recipe lets it refuse."""
    broken = sorted((finding for finding in findings if finding.refuses), key=lambda one: -one.score)
    if not broken:
        return None
    return BadData(
        f"{label} is unlike every day before it: {broken[0].name}",
        expected="what the days before it have, within what chance and their spread explain",
        seen="; ".join(map(str, broken[:_TOLD])),
        action=f"look at the feed; if the day is real, set data.recent.severity.{broken[0].aspect} to warning",
    )


def _worst(findings: Sequence[Finding]) -> Verdict:
    verdicts = {finding.verdict for finding in findings}
    return "broken" if "broken" in verdicts else "unusual" if "unusual" in verdicts else "usual"


def _against(labels: Sequence[str], values: Sequence[Any], label: str) -> list[list[Any]]:
    """The values of the last days, and of the same weekdays where there are some."""
    weekday = date.fromisoformat(label).weekday()
    same = [value for day, value in zip(labels, values, strict=True) if date.fromisoformat(day).weekday() == weekday]
    return [list(values[-_LAST_DAYS:]), *([same] if same else [])]


def limit_of(days: int, section: RecentSection) -> float:
    return students(_USUAL_DEVIATIONS, days) / section.sensitivity


def _of_measure(
    name: str,
    measure: Measure,
    profile: Profile,
    past: Sequence[Profile],
    told: Sequence[Measure | None],
    section: RecentSection,
) -> Finding | None:
    severity = section.severity.of(measure.aspect)
    known = [(day, one.reading) for day, one in zip(past, told, strict=True) if one is not None]
    if severity == "off" or len(known) < section.min_days:
        return None
    readings, limit = [reading for _, reading in known], limit_of(len(known), section)
    against = _against([day.label for day, _ in known], readings, profile.label)
    found, reading = departure(measure.reading, readings, against), measure.reading
    verdict: Verdict = "usual"
    if found.score > limit and found.distance > measure.least and not _earlier(measure, found):
        verdict = "broken" if _is_broken(name, measure, profile, known, found, section) else "unusual"
    reach = max(limit * found.deviation, measure.least)
    value, usual, low, high = (
        round(plainly(reading.scale, size), 6)
        for size in (reading.size, found.usual, found.usual - reach, found.usual + reach)
    )
    return Finding(
        name, measure.aspect, severity, verdict, value, usual, low, high, round(found.score, 2), round(limit, 2)
    )


def _earlier(measure: Measure, found: Departure) -> bool:
    """A day whose events begin earlier or end later than usual misses nothing."""
    return measure.aspect == "freshness" and measure.reading.size < found.usual


def _is_broken(
    name: str,
    measure: Measure,
    profile: Profile,
    known: Sequence[tuple[Profile, Any]],
    found: Departure,
    section: RecentSection,
) -> bool:
    surely = found.score > 2 * limit_of(len(known), section)
    if measure.aspect == "volume":
        return surely and found.distance > math.log(section.max_rows_ratio)
    if measure.aspect == "kinds":
        kind = name.removesuffix(" rows")
        usual = math.exp(found.usual) * (profile.requests or profile.rows)
        return kind not in profile.kinds and usual >= _LEAST_GONE and all(kind in day.kinds for day, _ in known)
    if measure.aspect == "columns":
        emptied = plainly("share", measure.reading.size) < 0.01
        there = all(plainly("share", reading.size) > 0.5 for _, reading in known)
        return emptied and there and measure.reading.chance <= 1 / _LEAST_GONE
    return surely and found.distance > 3 * measure.least


def _of_shape(
    name: str,
    shape: Shape,
    profile: Profile,
    past: Sequence[Profile],
    told: Sequence[Shape | None],
    section: RecentSection,
) -> Finding | None:
    severity = section.severity.of(shape.aspect)
    known = [(day.label, one) for day, one in zip(past, told, strict=True) if one is not None]
    if severity == "off" or len(known) < section.min_days:
        return None
    labels, days = [label for label, _ in known], [one for _, one in known]
    usual = usual_divergence(labels, days)
    limit = limit_of(len(known), section)
    found = [
        (divergence(shape.cells, pool.cells), usual + by_chance(shape, pool))
        for pool in (_pooled(part) for part in _against(labels, days, profile.label))
    ]
    seen, expected = min(found, key=lambda pair: pair[0] / max(pair[1], 1e-12))
    score = math.sqrt(seen / max(expected, 1e-12))
    high = max(limit**2 * expected, LEAST_DIVERGENCE)
    verdict: Verdict = "unusual" if seen > high else "usual"
    if verdict == "unusual" and score > 2 * limit and seen > 9 * LEAST_DIVERGENCE:
        verdict = "broken"
    return Finding(
        f"distribution of {name}", shape.aspect, severity, verdict,
        round(seen, 6), round(expected, 6), 0.0, round(high, 6), round(score, 2), round(limit, 2),
    )  # fmt: skip


def _pooled(days: Sequence[Shape]) -> Shape:
    cells: Counter[str] = Counter()
    for day in days:
        cells.update(day.cells)
    return Shape(days[0].aspect, cells, sum(day.units for day in days))


def by_chance(one: Shape, other: Shape) -> float:
    return chance_divergence(len(one.cells.keys() | other.cells.keys()), one.units, other.units)


def usual_divergence(labels: Sequence[str], days: Sequence[Shape]) -> float:
    """How far a day usually is from the others, or from those of its weekday, beyond chance: the upper quartile."""
    pools = {"": _pooled(days)} | {
        weekday: _pooled([day for label, day in zip(labels, days, strict=True) if _weekday(label) == weekday])
        for weekday in {_weekday(label) for label in labels}
    }
    beyond = []
    for label, day in zip(labels, days, strict=True):
        others = [_without(pools[key], day) for key in ("", _weekday(label))]
        left = [max(0.0, divergence(day.cells, rest.cells) - by_chance(day, rest)) for rest in others if rest.cells]
        beyond.append(min(left))
    return quantiles(beyond, n=4)[2]


def _without(pool: Shape, day: Shape) -> Shape:
    cells = {cell: left for cell, rows in pool.cells.items() if (left := rows - day.cells.get(cell, 0)) > 0}
    return Shape(pool.aspect, cells, pool.units - day.units)


def _weekday(label: str) -> str:
    return str(date.fromisoformat(label).weekday())
