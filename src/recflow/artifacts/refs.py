"""References: what travels between stages instead of the thing itself."""

from enum import StrEnum

from pydantic import Field, JsonValue

from recflow.artifacts.frozen import Frozen
from recflow.errors import PermanentError

Numbers = dict[str, JsonValue]


class RefKind(StrEnum):
    """What a reference points at; also the folder it is stored under (`<store>/<recipe>/<folder>/…`)."""

    SOURCE = "source"
    PARENT = "parent"
    RELEASED = "released"
    PARTITION = "partition"
    REFUSAL = "refusal"
    DATASET = "dataset"
    CHECKPOINT = "checkpoint"
    MODEL = "model"
    PACKAGE = "package"
    DECISION = "decision"
    COMPARISON = "comparison"

    @property
    def folder(self) -> str:
        """The folder of the store that holds this kind."""
        return f"{self.value}s"


class Ref(Frozen):
    """A typed pointer to an immutable artifact: a few hundred bytes of JSON, safe to pass through XCom.

    `uri` is the artifact's folder in the store, `digest` the SHA-256 of its manifest (which lists every file's own
    digest), `numbers` what a person wants to see beside it (rows, a metric, a size).
    """

    kind: RefKind
    uri: str
    digest: str = Field(pattern=r"^[0-9a-f]{64}$")
    numbers: Numbers = Field(default_factory=dict)

    def expect(self, kind: RefKind) -> "Ref":
        """This reference, or an error when it points at another kind."""
        if self.kind is not kind:
            raise PermanentError(f"{self.uri} was passed as a {kind}", expected=f"a {kind}", seen=f"a {self.kind}")
        return self

    @property
    def short(self) -> str:
        """The first 12 digits of the digest, for names and screens."""
        return self.digest[:12]
