"""Numeric features on one scale, by what the training part alone told of them.

Standard library only: it may travel with a model.
"""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import fmean, pstdev


@dataclass(frozen=True)
class Scale:
    """Mean and standard deviation of one feature, in its own unit."""

    mean: float
    deviation: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.mean) and math.isfinite(self.deviation) and self.deviation >= 0):
            raise ValueError(f"a scale needs a finite mean and a deviation of at least 0, got {self}")

    @classmethod
    def of(cls, values: Iterable[float | None]) -> "Scale":
        """The scale of the values that are there and finite. ValueError where there are none."""
        known = [value for value in values if value is not None and math.isfinite(value)]
        if not known:
            raise ValueError("a feature without a single value has no scale")
        return cls(fmean(known), pstdev(known))

    def scaled(self, value: float | None) -> float:
        """Standard deviations from the mean; 0, the mean, for what is missing or not finite.

        A feature that never varied in training stays in its own unit, as there is nothing to divide by.
        """
        if value is None or not math.isfinite(value):
            return 0.0
        return (value - self.mean) / (self.deviation or 1.0)


@dataclass(frozen=True)
class Scaling:
    """The scales of a model's numeric features, by name; fit on training rows, kept beside the model as JSON."""

    scales: Mapping[str, Scale]

    @classmethod
    def fit(cls, training: Mapping[str, Iterable[float | None]]) -> "Scaling":
        """The scales of these columns of the training part. ValueError names a column without values."""
        scales = {}
        for name, values in training.items():
            try:
                scales[name] = Scale.of(values)
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from None
        return cls(scales)

    def scaled(self, features: Mapping[str, float | None]) -> dict[str, float]:
        """Every feature of the model scaled, in the model's order; one that is not given counts as missing."""
        return {name: scale.scaled(features.get(name)) for name, scale in self.scales.items()}

    def to_json(self) -> str:
        """Exact: what is read back scales to the same bits."""
        return json.dumps({name: [scale.mean, scale.deviation] for name, scale in self.scales.items()})

    @classmethod
    def from_json(cls, text: str) -> "Scaling":
        """What `to_json` wrote. ValueError for anything else."""
        try:
            return cls(
                {name: Scale(float(mean), float(deviation)) for name, (mean, deviation) in json.loads(text).items()}
            )
        except (AttributeError, TypeError) as error:
            raise ValueError(f"these are no scales: {error}") from None
