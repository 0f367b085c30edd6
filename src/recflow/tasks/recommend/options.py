"""How a recommender is trained."""

from typing import Literal

from pydantic import Field

from recflow.config.sections.training import TrainedSection


class RecommendTraining(TrainedSection):
    """A sequence model joined with item-item collaborative filtering. Defaults: chosen by validation users."""

    start: Literal["parent", "nothing"] = Field(default="parent", description="Warm start from the serving model.")
    width: int = Field(default=64, ge=4, le=1024, description="Numbers in the vector of an item.")
    layers: int = Field(default=1, ge=1, le=24)
    heads: int = Field(default=2, ge=1, le=32, description="Must divide the width.")
    max_length: int = Field(default=50, ge=1, le=1000, description="Acts of a history that are read, the newest ones.")
    dropout: float = Field(default=0.3, ge=0, lt=1)
    id_dropout: float = Field(
        default=0.1, ge=0, lt=1, description="Share of items known by their text alone in a step, for the new ones."
    )
    candidates: int = Field(
        default=512,
        ge=2,
        le=10_000_000,
        description="Items that a step's own are told from; where there are more, a sample.",
    )
    epochs: int = Field(default=30, ge=1, le=10_000)
    warm_epochs: int = Field(default=5, ge=1, le=10_000, description="Epochs at most after a warm start.")
    patience: int = Field(default=3, ge=1, le=1000, description="Epochs without a better nDCG before it stops.")
    learning_rate: float = Field(default=2e-3, gt=0, le=1)
    weight_decay: float = Field(default=0.0, ge=0, le=1)
    batch_acts: int = Field(default=1024, ge=2, le=1_000_000, description="Acts a step, padding included.")
    neighbours: int = Field(default=100, ge=1, le=10_000, description="Neighbours that are kept of an item.")
    window: int = Field(default=20, ge=1, le=1000, description="Acts that tie two items are at most so far apart.")
    decay: float = Field(default=0.8, gt=0, le=1, description="What a tie weighs with each act between.")
    backwards: float = Field(default=0.3, ge=0, le=1, description="What a tie to the earlier item weighs.")
    damping: float = Field(default=0.4, ge=0, le=1, description="Power of an item's acts that its ties are divided by.")
    neighbour_damping: float = Field(default=0.0, ge=0, le=1, description="The same for the acts of the neighbour.")
    recency: float = Field(default=0.6, gt=0, le=1, description="What an act of a history weighs with each one after.")
    exclude_seen: bool = Field(default=True, description="Never show what is in the user's history.")
    banned: tuple[str, ...] = Field(default=(), description="Items that are never shown.")
    seed: int = Field(default=7, ge=0, lt=2**32)
