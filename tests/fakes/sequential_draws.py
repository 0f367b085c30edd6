"""Seeded draws of whole experiments as user totals in the order in which the users' windows close."""

from dataclasses import dataclass

import numpy as np

from recflow.experiments.ratio import contrast, estimate
from recflow.experiments.sequential import Sequence


@dataclass(frozen=True)
class Draw:
    """Arm (True: treatment), searches and clicks of each user, who comes back inside the window and has a taste."""

    treated: np.ndarray
    searches: np.ndarray
    clicks: np.ndarray


def draw(seed: int, users: int, *, rate: float = 0.3, effect: float = 0.0) -> Draw:
    """Users search once and come back a geometric number of times; each has an own click rate around the arm's."""
    random = np.random.default_rng(seed)
    treated = random.random(users) < 0.5
    searches = random.geometric(0.45, users)
    mean = rate * np.where(treated, 1 + effect, 1.0)
    taste = random.beta(mean * 4, (1 - mean) * 4)
    return Draw(treated, searches.astype(float), random.binomial(searches, taste).astype(float))


@dataclass(frozen=True)
class Course:
    """At each look: users so far, estimate, margin of the one-sided and of the two-sided bound, standard error."""

    users: np.ndarray
    difference: np.ndarray
    one_sided: np.ndarray
    two_sided: np.ndarray
    error: np.ndarray


def course(drawn: Draw, looks: np.ndarray, *, alpha: float, planned: int, factor: float = 1.0) -> Course:
    """The gate's own arithmetic at every look."""
    rows = []
    for look in looks:
        arms = [(drawn.clicks[:look][mask], drawn.searches[:look][mask]) for mask in _masks(drawn.treated[:look])]
        seen = contrast(*(estimate(*arm) for arm in arms), factor)
        sequence = Sequence(alpha, planned)
        widths = (
            sequence.margin(seen.users, seen.standard_error),
            sequence.half_width(seen.users, seen.standard_error),
        )
        rows.append((seen.users, seen.difference, *widths, seen.standard_error))
    return Course(*np.array(rows).T)


def _masks(treated: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return treated, ~treated


def looks(first: int, users: int, number: int) -> np.ndarray:
    """Looks spread evenly from the first user count to the last."""
    return np.unique(np.linspace(first, users, number).astype(int))
