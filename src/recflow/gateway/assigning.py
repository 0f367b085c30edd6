"""Assigning: which version a request goes to first, and what its exposure will say of it. Pure."""

from dataclasses import dataclass

from recflow.artifacts.events import Arm, Fallback
from recflow.domain.routes import RoutingTable

FORCED, BOT = "forced", "bot"


@dataclass(frozen=True)
class Assignment:
    """`attempts` are the versions to ask, in order. `fallback` is set when routing itself already departs."""

    arm: Arm
    version: str
    experiment: str
    marked: str
    attempts: tuple[str, ...]
    fallback: Fallback = Fallback.NONE


def assign(
    table: RoutingTable, user_key: str, *, marked: str = "", forced: str = "", stale: bool = False
) -> Assignment:
    """Shoppers by their bucket; marked requests to stable, forced ones to the named version, both outside experiments.

    Under stale routes everybody is served by the last known stable, and the assigned arm is recorded all the same.
    """
    if forced:
        return Assignment(Arm.STABLE, forced, "", FORCED, _chain(forced, table.stable))
    if marked:
        return Assignment(Arm.STABLE, table.stable, "", marked, _chain(table.stable))
    place = table.assign(user_key)
    # Outside the two compared ranges nobody is in the experiment: control must stay as large as treatment.
    experiment = "" if place.arm is Arm.STABLE else table.experiment
    if stale:
        return Assignment(place.arm, place.version, experiment, "", _chain(table.stable), Fallback.STALE_ROUTES)
    return Assignment(place.arm, place.version, experiment, "", _chain(place.version, table.stable))


def _chain(*versions: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(version for version in versions if version))
