"""Settings: where things are. Read from the environment once, here and nowhere else.

Every field is the environment variable `RECFLOW_<FIELD>`. Secrets are references to files, never values.
"""

import os
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from recflow.errors import BadConfiguration


class Settings(BaseSettings):
    """Where this installation keeps and finds things."""

    model_config = SettingsConfigDict(env_prefix="RECFLOW_", frozen=True, extra="ignore")

    home: Path = Field(default=Path(".home"), description="State of this host: jobs, Triton, logs, caches.")
    store: str = Field(default="", description="file:///… or s3://bucket/prefix; empty: <home>/store.")
    s3_endpoint: str = Field(default="", description="S3 endpoint; empty: the SDK's own choice.")
    recipes: Path = Field(default=Path("recipes"), description="Folder of <name>.yaml.")
    source_root: Path = Field(default=Path(), description="What relative source paths of recipes start from.")
    base_models: Path | None = Field(default=None, description="Folder of base models; None: the PyPI package.")
    mlflow_uri: str = Field(default="", description="Tracking store; empty: sqlite in <home>/mlflow.")
    triton_grpc: str = Field(default="127.0.0.1:8001", description="host:port of Triton's gRPC service.")
    triton_http: str = Field(default="127.0.0.1:8000", description="host:port of Triton's HTTP service.")
    triton_metrics: str = Field(default="127.0.0.1:8002", description="host:port of Triton's metrics.")
    triton_runtime: Path = Field(default=Path(".venv-triton"), description="Environment of the Triton runtime.")
    gateway_url: str = Field(default="http://127.0.0.1:8088", description="Where the gateway listens.")
    gateway_token_file: Path | None = Field(default=None, description="Tokens, one a line; None: no auth (loopback).")
    gateway_keys_file: Path | None = Field(
        default=None,
        description="Keys that sign request ids, one a line, newest first; a line `unsigned` accepts ids without a"
        " signature too. None: nothing is signed.",
    )
    gateway_poll_ms: int = Field(default=250, gt=0, le=500, description="How often a gateway looks for new routes.")
    gateway_lease_s: float = Field(
        default=10, gt=0, description="A gateway without routes for this long serves stable."
    )
    notify_webhook: str = Field(default="", description="POST target for alerts; empty: <home>/alerts.jsonl only.")
    actor: str = Field(default="recflow", description="Who signs ledger entries that no person is named for.")
    engine: Literal["duckdb", "spark"] = Field(default="duckdb", description="What computes a day's tables.")
    engine_memory_mb: int = Field(
        default=1024, ge=256, description="duckdb: what is held in memory before tables spill to disk."
    )
    spark_master: str = Field(default="", description="spark: the cluster, as spark://host:7077.")
    torch_threads: int = Field(default=0, ge=0, description="Threads of one training process; 0: cores / processes.")

    @property
    def store_uri(self) -> str:
        """The store's root URI, with the default filled in."""
        return self.store or (self.home.resolve() / "store").as_uri()

    @property
    def tracking_uri(self) -> str:
        """MLflow's tracking URI, with the default filled in."""
        return self.mlflow_uri or f"sqlite:///{self.home.resolve() / 'mlflow' / 'mlflow.db'}"


def read_settings() -> Settings:
    """The settings of this process; BadConfiguration names the variable that is wrong."""
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        name = "RECFLOW_" + "_".join(str(part) for part in first["loc"]).upper()
        raise BadConfiguration(
            f"setting {name} cannot be read", expected=str(first["msg"]), seen=repr(first.get("input"))
        ) from error


def process_rank() -> int:
    """This process's rank in a gang, as torchrun sets it; 0 alone."""
    return int(os.environ.get("RANK", "0"))
