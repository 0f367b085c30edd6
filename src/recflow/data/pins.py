"""Pins: what a retrain will read, fixed as references before anything is read."""

from datetime import datetime
from itertools import islice
from pathlib import Path
from statistics import median

from recflow.artifacts.manifests import Interval
from recflow.artifacts.refs import Numbers, Ref, RefKind
from recflow.config.recipe import Recipe
from recflow.data.heads import HeadHistory
from recflow.data.sources import Delivery, Source, open_source, source_uri
from recflow.errors import BadData, PermanentError
from recflow.protocols import EventLog

_USUAL_DAYS = 7


def pin_source(
    recipe: Recipe, interval: Interval, root: Path, heads: HeadHistory, *, events: EventLog | None = None
) -> Ref:
    """A reference to the interval's events: where the source is, the digest of the raw bytes.

    `root` is where relative source paths start. `numbers` has `usual_rows`, the median of the rows delivered on the
    seven days before (absent without any), and `events` and `stamp`, by which a later look tells whether the day was
    delivered again; they are no part of the digest, so that a rerun finds its partition again.
    """
    uri = source_uri(recipe, root)
    source = open_source(recipe, uri, events)
    stamp, found = source.stamp(interval), source.fingerprint(interval)
    before = islice(heads.newest_first(interval.start), _USUAL_DAYS)
    rows = [count for head in before if isinstance(count := head.partition.numbers.get("rows_in"), int)]
    usual: Numbers = {"usual_rows": median(rows)} if rows else {}
    return Ref(
        kind=RefKind.SOURCE, uri=uri, digest=found.digest, numbers={**usual, "events": found.events, "stamp": stamp}
    )


def deliver_pinned(source: Source, pinned: Ref, interval: Interval, folder: Path) -> Delivery:
    """The delivery that was pinned, in `folder`; PermanentError when the source has changed since, even while read."""
    try:
        delivery = source.deliver(interval, folder)
    except BadData:
        _refuse_changed(source.fingerprint(interval).digest, pinned, interval)
        raise
    _refuse_changed(delivery.digest, pinned, interval)
    return delivery


def _refuse_changed(digest: str, pinned: Ref, interval: Interval) -> None:
    if digest != pinned.digest:
        raise PermanentError(
            f"the source of {interval.label} changed after it was pinned",
            expected=pinned.short,
            seen="another digest",
            action="clear pin_source and what follows it",
        )


def pin_partitions(
    recipe: Recipe, interval: Interval, trained_through: datetime | None, heads: HeadHistory
) -> tuple[Ref, ...]:
    """The partitions that a retrain of `interval` reads, oldest first.

    Every current one that ends after `trained_through` (None: all), so that a rejected or superseded day is never
    lost, and the `split.evaluation_days` newest, for the test rows and for replay. None that ends after the interval:
    a backfill does not see the future. BadData when there is no partition at all.
    """
    pinned: list[Ref] = []
    for head in heads.newest_first(interval.end):
        new = trained_through is None or head.interval.end > trained_through
        if not new and len(pinned) >= recipe.split.evaluation_days:
            break
        pinned.append(head.partition)
    if not pinned:
        raise BadData(f"{recipe.name} has no partition up to {interval.label}", expected="one at least", seen="none")
    return tuple(reversed(pinned))
