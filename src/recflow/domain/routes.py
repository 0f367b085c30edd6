"""Routes: a pure fold of the ledger's state into who is served by which version."""

from recflow.artifacts.events import Arm
from recflow.artifacts.frozen import Frozen
from recflow.artifacts.ledger import LedgerState, OpenRelease, ReleaseState
from recflow.domain.assignment import BUCKETS, bucket


class ArmRange(Frozen):
    """Buckets [start, end) belong to `arm` and are served by `version`."""

    arm: Arm
    version: str
    start: int
    end: int


class RoutingTable(Frozen):
    """What a gateway needs to route one recipe's requests.

    `stable` is empty before the first release. `shadow` is the version that mirrored requests go to. `experiment` is
    `<release id>:<stage>` while two arms are compared. `salt` makes the assignment of each release independent.
    """

    recipe: str
    epoch: int
    stable: str = ""
    shadow: str = ""
    experiment: str = ""
    salt: str = ""
    arms: tuple[ArmRange, ...] = ()

    def assign(self, user_key: str) -> ArmRange:
        """The arm of a user: sticky for the release, the stable arm outside every range."""
        number = bucket(self.salt, user_key)
        for arm in self.arms:
            if arm.start <= number < arm.end:
                return arm
        return ArmRange(arm=Arm.STABLE, version=self.stable, start=0, end=BUCKETS)

    @property
    def shares(self) -> dict[Arm, float]:
        """The share of users that each arm is to get."""
        sizes = {arm.arm: arm.end - arm.start for arm in self.arms}
        sizes[Arm.STABLE] = BUCKETS - sum(sizes.values())
        return {arm: size / BUCKETS for arm, size in sizes.items() if size}

    @property
    def versions(self) -> tuple[str, ...]:
        """Every version that some request may go to, stable first, without repeats."""
        named = [self.stable, *(arm.version for arm in self.arms), self.shadow]
        return tuple(dict.fromkeys(version for version in named if version))


def routes(recipe: str, state: LedgerState) -> RoutingTable:
    """The routing table that the ledger's state stands for.

    Canary at p percent: treatment [0, p), control of equal size [100 - p, 100). Judging: two halves. Promoting: all
    to the candidate. Rolling back: weight 0 from the moment the entry stands in the ledger.
    """
    stable = state.stable.version if state.stable else ""
    plain = RoutingTable(recipe=recipe, epoch=state.epoch, stable=stable)
    return plain if state.release is None else _with_release(plain, state.release)


def _with_release(plain: RoutingTable, release: OpenRelease) -> RoutingTable:
    stage = release.held_from or release.state
    candidate = release.candidate.version
    if stage is ReleaseState.SHADOW:
        return plain.model_copy(update={"shadow": candidate, "experiment": f"{release.release_id}:shadow"})
    if stage is ReleaseState.PROMOTING:
        return plain.model_copy(update={"stable": candidate})
    if stage is ReleaseState.CANARY:
        percent = release.plan.canary[release.step].percent
        return _split(plain, release, int(percent * BUCKETS / 100), f"canary_{release.step}")
    if stage is ReleaseState.JUDGING:
        return _split(plain, release, BUCKETS // 2, "judging")
    return plain


def _split(plain: RoutingTable, release: OpenRelease, size: int, stage: str) -> RoutingTable:
    treatment = ArmRange(arm=Arm.TREATMENT, version=release.candidate.version, start=0, end=size)
    control = ArmRange(arm=Arm.CONTROL, version=plain.stable, start=BUCKETS - size, end=BUCKETS)
    return plain.model_copy(
        update={
            "experiment": f"{release.release_id}:{stage}",
            "salt": release.release_id,
            "arms": (treatment, control),
        }
    )
