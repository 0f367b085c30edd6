"""Which smaller forms of the model are made, and what each must hold."""

from typing import Literal

from pydantic import AliasChoices, ConfigDict, Field

from recflow.artifacts.frozen import Frozen

Variant = Literal["fp32", "int8", "int8_blocks"]


class CompressionSection(Frozen):
    """Export, graph optimisation and quantisation; the smallest variant that holds the ladder is chosen.

    int8: one scale for all activations of a batch, fastest; each text goes through it alone, so that no score depends
    on batch-mates. int8_blocks: one scale for 32 numbers of one token. fp32 is always made: the others come from it.

    Two options are stored under the names of before there were other tasks than relevance, which recipes may still use:
    what was computed then keeps its key, and no old package seems to be made by another recipe.
    """

    model_config = ConfigDict(serialize_by_alias=True, validate_by_name=True)

    variants: tuple[Variant, ...] = ("fp32", "int8", "int8_blocks")
    opset: int = Field(default=18, ge=17, le=30)
    fp32_atol: float = Field(default=1e-4, gt=0, lt=1, description="Trained against exported, on scores.")
    min_agreement: float = Field(
        default=0.99,
        gt=0,
        le=1,
        description="Share of the pairs of an answer in the same order, trained against variant.",
    )
    max_drop: float = Field(
        default=0.005,
        gt=0,
        lt=1,
        validation_alias=AliasChoices("max_drop", "max_ndcg_drop"),
        serialization_alias="max_ndcg_drop",
        description="How much worse a variant's main metric may be than the trained model's, as a point.",
    )
    golden_requests: int = Field(
        default=20,
        ge=1,
        le=1000,
        validation_alias=AliasChoices("golden_requests", "golden_queries"),
        serialization_alias="golden_queries",
        description="Test examples kept as golden requests.",
    )
