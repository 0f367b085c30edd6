"""Days that were delivered again, with their clients."""

from typing import TYPE_CHECKING

from recflow.artifacts.manifests import Interval
from recflow.artifacts.refs import Ref
from recflow.config.recipe import Recipe
from recflow.errors import RecflowError
from recflow.protocols import Card
from recflow.wiring.services import Services

if TYPE_CHECKING:
    from recflow.data.heads import Head
    from recflow.data.redelivery import Look


def look_at_days_before(services: Services, recipe: Recipe, interval: Interval) -> "Look":
    """Which of the last `schedule.lookback_days` days were delivered again, or are gone from their source."""
    from recflow.data.heads import HeadHistory
    from recflow.data.redelivery import Look, look_back
    from recflow.data.sources import open_source, source_uri

    days = recipe.schedule.lookback_days
    if not days:
        return Look((), ())
    source = open_source(recipe, source_uri(recipe, services.settings.source_root), services.events)
    return look_back(interval, days, source, HeadHistory(services.store, recipe.name), services.artifacts)


def tell_of_delivery(services: Services, recipe: Recipe, day: str, error: RecflowError) -> None:
    """Send a person the card of a day that was delivered again and could not take the place of what is there."""
    card = Card(
        title=f"{recipe.name}: {day} was delivered again and is not taken",
        shoppers_affected=False,
        cause=f"{error.message} The partition before stays the current one.",
        command=f"mend the delivery: the next run looks at it again (recflow data history {recipe.name} {day})",
        runbook=error.runbook,
    )
    services.notifier.notify(card)


def tell_of_look(services: Services, recipe: Recipe, error: RecflowError) -> None:
    """Send a person the card of a night on which nobody could tell which days were delivered again."""
    card = Card(
        title=f"{recipe.name}: the days before were not looked at",
        shoppers_affected=False,
        cause=f"{error.message} The partitions stay as they are, and the day's own run goes on.",
        command=f"mend the cause: the next run looks again (recflow data history {recipe.name})",
        runbook=error.runbook,
    )
    services.notifier.notify(card)


def replaced_since(services: Services, recipe: str, checkpoint: Ref) -> "list[Head]":
    """The heads that took the place of the partitions which a model was trained and judged on, oldest first."""
    from recflow.data.heads import HeadHistory
    from recflow.data.redelivery import replaced

    heads = HeadHistory(services.store, recipe)
    datasets = services.artifacts.manifest(checkpoint).inputs.get("dataset", ())
    return [head for dataset in datasets for head in replaced(dataset, heads, services.artifacts)]
