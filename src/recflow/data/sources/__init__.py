"""Where the events of an interval come from: one adapter a kind of source, all giving rows as delivered."""

from pathlib import Path
from typing import Protocol

import pyarrow as pa

from recflow.artifacts.manifests import Interval
from recflow.config.recipe import Recipe
from recflow.errors import BadConfiguration
from recflow.protocols import EventLog


class Source(Protocol):
    """Events of any interval, as text and unjudged."""

    @property
    def note(self) -> str:
        """What a reader of the report must know about this source; empty when there is nothing to say."""

    def fingerprint(self, interval: Interval) -> str:
        """SHA-256 of the interval's raw bytes: another digest, other events. Never fails on bad events."""

    def rows(self, interval: Interval) -> pa.Table:
        """The interval's rows, columns of `rows.DELIVERED` as far as the source has them; title null: unknown item.

        Raises BadData when the events cannot be read at all.
        """


def open_source(recipe: Recipe, folder: Path, events: EventLog | None = None) -> Source:
    """The source that a recipe names, below `folder`; `events` is asked for by gateway_log only."""
    section = recipe.data.source
    if not folder.is_dir():
        raise BadConfiguration(f"the source of {recipe.name} is not there", expected="a folder", seen=str(folder))
    if section.adapter == "crowdflower":
        from recflow.data.sources.crowdflower import CrowdFlower

        return CrowdFlower(folder, section.days, section.first_day)
    if section.adapter == "shop":
        from recflow.data.sources.shop import Shop

        return Shop(folder)
    from recflow.data.sources.gateway_log import GatewayLog

    if events is None:
        raise BadConfiguration(
            f"the source of {recipe.name} is the gateway's log", expected="an event log", seen="none"
        )
    return GatewayLog(events, folder, recipe.name, recipe.labels.attribution_minutes)


def source_folder(recipe: Recipe, root: Path) -> Path:
    """The absolute folder of a recipe's source; a relative path starts at `root`."""
    return (root / recipe.data.source.path).resolve()
