"""Pins: what a retrain will read, fixed as references before anything is read."""

from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path

from recflow.artifacts.manifests import Interval
from recflow.artifacts.refs import Ref, RefKind
from recflow.config.recipe import Recipe
from recflow.data.heads import HeadHistory
from recflow.data.sources import Delivery, Source, open_source, source_uri
from recflow.errors import BadData, PermanentError
from recflow.protocols import EventLog


def pin_source(recipe: Recipe, interval: Interval, root: Path, *, events: EventLog | None = None) -> Ref:
    """A reference to the interval's events: where the source is, the digest of the raw bytes.

    `root` is where relative source paths start. `numbers` has `events` and `stamp`, by which a later look tells whether
    the day was delivered again; they are no part of the digest, so that a rerun finds its partition again.
    """
    uri = source_uri(recipe, root)
    source = open_source(recipe, uri, events)
    stamp, found = source.stamp(interval), source.fingerprint(interval)
    return Ref(kind=RefKind.SOURCE, uri=uri, digest=found.digest, numbers={"events": found.events, "stamp": stamp})


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


def pin_past(recipe: Recipe, interval: Interval, heads: HeadHistory) -> tuple[Ref, ...]:
    """The current partitions of the `data.recent.days` days before an interval, oldest first."""
    oldest = interval.start - timedelta(days=recipe.data.recent.days)
    found = list(islice(heads.newest_first(interval.start), recipe.data.recent.days))
    return tuple(head.partition for head in reversed(found) if head.interval.start >= oldest)


def pin_partitions(
    recipe: Recipe, interval: Interval, trained_through: datetime | None, heads: HeadHistory
) -> tuple[Ref, ...]:
    """The partitions that a retrain of `interval` reads, oldest first.

    Every current one that ends after `trained_through` (None: all), so that a rejected or superseded day is never
    lost, and the `split.evaluation_days` newest, for the test rows and for replay, with `split.history_days` before
    them. None that ends after the interval: a backfill does not see the future. BadData when there is no partition.
    """
    pinned: list[Ref] = []
    fewest = recipe.split.evaluation_days + recipe.split.history_days
    for head in heads.newest_first(interval.end):
        new = trained_through is None or head.interval.end > trained_through
        if not new and len(pinned) >= fewest:
            break
        pinned.append(head.partition)
    if not pinned:
        raise BadData(f"{recipe.name} has no partition up to {interval.label}", expected="one at least", seen="none")
    return tuple(reversed(pinned))
