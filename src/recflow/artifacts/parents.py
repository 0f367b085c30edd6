"""The parent: the model that a retrain starts from and is compared with, pinned as an input."""

from datetime import datetime

from recflow.artifacts.frozen import Frozen
from recflow.artifacts.refs import Ref


class Parent(Frozen):
    """What `pin_parent` found in the ledger; all None for the untrained base model. Stored as `parent.json`."""

    version: str | None = None
    package: Ref | None = None
    checkpoint: Ref | None = None
    trained_through: datetime | None = None
