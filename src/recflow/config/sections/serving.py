"""How a candidate is packaged, and what its live life must look like."""

from pydantic import Field

from recflow.artifacts.frozen import Frozen


class PackagingSection(Frozen):
    """The Triton artifact: tokenizer, model and post-processing as one."""

    post_processing: str = Field(
        default="",
        description="A stdlib-only Python file with `process(scores) -> scores`, relative to the recipe's own folder;"
        " empty: scores as they are.",
    )
    post_processing_code: str = Field(
        default="", description="Filled in when the recipe is read: the file's text, so that the recipe is whole."
    )
    max_batch_size: int = Field(default=16, ge=1, le=128, description="Requests that Triton may join.")
    max_queue_delay_us: int = Field(default=500, ge=0, le=1_000_000, description="How long Triton waits for company.")
    instances: int = Field(default=1, ge=1, le=16)
    threads: int = Field(default=1, ge=1, le=64, description="onnxruntime threads an instance.")


class ServingSection(Frozen):
    """The gateway's limits for this route."""

    max_items: int = Field(default=200, ge=1, le=10_000)
    max_history: int = Field(
        default=10_000, ge=1, le=1_000_000, description="Acts that a request may bring of its user's history."
    )
    max_excluded: int = Field(default=1000, ge=0, le=1_000_000, description="Items that a request may exclude.")
    max_query_characters: int = Field(default=512, ge=1, le=100_000)
    max_body_bytes: int = Field(default=256 * 1024, ge=1024, le=64 * 1024 * 1024)
    deadline_ms: int = Field(default=300, ge=10, le=60_000)
    max_in_flight: int = Field(default=64, ge=1, le=100_000, description="More requests at once are answered 429.")
    max_outcomes_per_request: int = Field(
        default=300,
        ge=1,
        le=100_000,
        description="In an hour, then 429: three acts on each of a hundred items, or no person's.",
    )
    max_outcomes_per_minute: int = Field(
        default=120, ge=1, le=100_000, description="By user, then 429: two a second for a minute, or no person's."
    )


class WatchSection(Frozen):
    """What is looked at every few minutes while a version serves."""

    window_seconds: float = Field(default=300, gt=0, le=86_400)
    min_requests: int = Field(default=20, ge=1, le=1_000_000, description="Fewer requests say nothing.")
    max_silence_seconds: float = Field(
        default=3600, gt=0, le=2_592_000, description="An event log this old is an alert."
    )
    outcome_window_seconds: float = Field(
        default=3600, gt=0, le=604_800, description="Acts of the last hour: fewer follow a search than searches come."
    )
    min_outcomes: int = Field(
        default=100,
        ge=1,
        le=1_000_000_000,
        description="Of fewer acts no share is known; its limit is online_gate.max_unmatched_share.",
    )
    probe_atol: float = Field(default=0.05, gt=0, le=100, description="Golden scores may move by this much.")
    max_days_without_promotion: int = Field(default=14, ge=1, le=3650)


class RetentionSection(Frozen):
    """How long what no release needs is kept; what serves, served before or is on its way is kept for ever."""

    keep_days: float = Field(default=30, ge=0, le=36_500, description="Old enough to look into last month's decisions.")
    grace_hours: float = Field(
        default=12,
        ge=0,
        le=8760,
        description="Garbage must be seen by two passes this far apart: a publishing run looks like it.",
    )
