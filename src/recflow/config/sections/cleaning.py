"""What becomes of free text and of odd numbers before anything is kept."""

from pydantic import Field

from recflow.artifacts.frozen import Frozen


class CleaningSection(Frozen):
    """Rules beside normalising, which always happens. Those of texts are the same in data and at the gateway."""

    mask: bool = Field(
        default=True,
        description="E-mail addresses, phone, card, ID and bank account numbers in what people type become `[email]` …",
    )
    mask_catalogue: bool = Field(
        default=False,
        description="In titles and descriptions too: for shops whose sellers are private people. Needs `mask`.",
    )
    simplify_chinese: bool = Field(
        default=False,
        description="Traditional characters become simplified ones; Japanese text would be spoilt by it.",
    )
    near_duplicates: bool = Field(
        default=False, description="Texts that differ only in case, punctuation and spaces count as one."
    )
    outlier_mads: float | None = Field(
        default=None,
        ge=3,
        le=100,
        description="Values are told as outliers whose logarithm is further above the median than this many "
        "normal-consistent median absolute deviations: 3 suits a bell curve, prices need some 10. null: above ten "
        "times what 95 of 100 values do not exceed.",
    )
