"""Which smaller forms of the model are made, and what each must hold."""

from typing import Literal

from pydantic import Field

from recflow.artifacts.frozen import Frozen

Variant = Literal["fp32", "int8", "int8_blocks"]


class CompressionSection(Frozen):
    """Export, graph optimisation and quantisation; the smallest variant that holds the ladder is chosen.

    int8: one scale for all activations of a batch, fastest; each text goes through it alone, so that no score depends
    on batch-mates. int8_blocks: one scale for 32 numbers of one token. fp32 is always made: the others come from it.
    """

    variants: tuple[Variant, ...] = ("fp32", "int8", "int8_blocks")
    opset: int = Field(default=18, ge=17, le=30)
    fp32_atol: float = Field(default=1e-4, gt=0, lt=1, description="Trained against exported, on scores.")
    min_agreement: float = Field(
        default=0.99, gt=0, le=1, description="Share of item pairs in the same order, trained against variant."
    )
    max_ndcg_drop: float = Field(
        default=0.005, gt=0, lt=1, description="Point drop of a variant against the trained model."
    )
    golden_queries: int = Field(default=20, ge=1, le=1000, description="Test queries kept as golden requests.")

    @property
    def golden(self) -> int:
        """How many test examples are kept as golden requests."""
        return self.golden_queries
