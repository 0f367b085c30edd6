"""Days that are validated as the retrain does it: with what was released of them, and into the history of heads."""

import json
from functools import partial
from typing import Any

import pyarrow.parquet as pq

from fakes.deliveries import day, recipe
from fakes.engines import duckdb_engine
from fakes.stage_bench import StageBench
from recflow.artifacts.refs import Ref, RefKind
from recflow.data.heads import HeadHistory
from recflow.data.pins import pin_source
from recflow.data.released import Released, ReleasedHistory
from recflow.data.review import ReviewedDay, release, review_day
from recflow.data.spec import VALIDATE_PARTITION
from recflow.data.validate import run
from recflow.engine import OpenEngine


class Shop:
    """One recipe's folder of deliveries, whose first day is built, refused, reviewed and built again."""

    def __init__(
        self, root: Any, adapter: str = "crowdflower", *, engine: OpenEngine = duckdb_engine, **data: Any
    ) -> None:
        self.bench, self.folder, self.engine = StageBench(root / "bench"), root / "feed", engine
        self.recipe = recipe(adapter, str(self.folder), data=data)
        self.heads = HeadHistory(self.bench.store, self.recipe.name)
        self.usual: int | None = None  # rows of the day before

    def build(self) -> Ref:
        """The day's partition, current from now on; BadData for a refused day."""
        self.bench.clock.tick(60)
        source = pin_source(self.recipe, day(), self.folder)
        inputs = ReleasedHistory(self.bench.store, self.recipe.name).pin(day().label, source)
        past = {"past": self._past()} if self.usual else {}
        function = partial(run, engine=self.engine)
        ref = self.bench.run(
            VALIDATE_PARTITION, function, self.recipe, **{name: ref for name, (ref,) in inputs.items()}, **past
        )
        self.heads.record(day(), ref, at=self.bench.clock.now())
        return ref

    def _past(self) -> Ref:
        folder = self.bench.root / "past"
        folder.mkdir(parents=True, exist_ok=True)
        return self.bench.publish(RefKind.PARTITION, folder, numbers={"rows_in": self.usual})

    def review(self) -> ReviewedDay:
        """The day as a person sees it."""
        return review_day(self.bench.artifacts, self.recipe.name, day().label)

    def release(self, choose: Any, *what: Any, because: str = "they are real", person: str = "ada") -> Released:
        """What a person does about the day."""
        found = self.review()
        chosen = choose(found, *what)
        return release(self.bench.artifacts, found, chosen, at=self.bench.clock.now(), person=person, because=because)

    def kept(self) -> list[str]:
        """The ids of the rows of the current partition."""
        head = self.heads.current(day().label)
        assert head is not None
        return sorted(
            pq.read_table(self.bench.artifacts.fetch(head.partition) / "rows.parquet")["event_id"].to_pylist()
        )

    def report(self, ref: Ref) -> dict[str, Any]:
        """A partition's report."""
        return dict(json.loads((self.bench.artifacts.fetch(ref) / "validation.json").read_bytes()))
