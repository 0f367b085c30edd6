"""The table of docs/results.md: `python -m benchmarks.model_selection --data FOLDER [--folds 5] [--only NAME …]`.

Cross-validation by query on CSV files in CrowdFlower's columns: a hash of the query names the fold that judges it, an
eighth of the other queries stops the training and the rest trains. Every figure is pooled over all queries, each scored
by a model that has not seen it. The floors are always measured.
"""

import argparse
import hashlib
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.results import machine
from recflow.artifacts.parents import Parent
from recflow.artifacts.refs import Ref, RefKind
from recflow.clients.clock import SystemClock
from recflow.clients.local_store import LocalStore
from recflow.clients.registry import MlflowRegistry
from recflow.config.recipe import Recipe
from recflow.config.sections.training import TrainingSection
from recflow.data.sources import open_source
from recflow.domain.intervals import day_interval
from recflow.domain.judged import read_judged
from recflow.domain.queries import query_id
from recflow.domain.text import normalise, query_key
from recflow.engine.duckdb_engine import open_duckdb
from recflow.evaluation.paired import bootstrap
from recflow.stages import Inputs, StageContext, StageFunction, StageOutput, StageRunner, StageSpec
from recflow.storage import ArtifactStore
from recflow.tasks.relevance.floors import cosines, floor_texts, read_bm25
from recflow.tasks.relevance.metrics import by_query
from recflow.tasks.relevance.rows import DATASET
from recflow.tasks.relevance.task import TASK
from recflow.tasks.relevance.titles import count_words, write_counted
from recflow.training import run as training
from recflow.training.encoder import Encoders
from recflow.training.features import feature_names, features_of, texts_of
from recflow.training.spec import FINE_TUNE

DOCS = Path(__file__).resolve().parent.parent / "docs"
OUT, PAGE, TEXT = DOCS / "results" / "model_selection.json", DOCS / "results.md", Path(__file__).with_suffix(".md")
TARGET = 0.02
FLOORS = ("bm25", "untrained")
_SALT, _ROUNDS, _SEED = "model-selection-1", 10_000, 7
_DAY = day_interval("2011-01-01", "UTC")
_TITLE = TrainingSection(start="base")
_BOTH = TrainingSection(start="base", views=("title", "title_description"))

Row = dict[str, Any]
Scores = list[list[float]]


class RememberingEncoders(Encoders):
    """The same vectors as ever; each text is encoded once a model, since every fold asks the base for the same ones."""

    def __init__(self) -> None:
        super().__init__()
        self._known: dict[tuple[Path, int], dict[str, np.ndarray]] = {}

    def encode(self, folder: Path, texts: Sequence[str], max_tokens: int) -> np.ndarray:
        """Vectors (texts, width) of length 1."""
        known = self._known.setdefault((folder, max_tokens), {})
        if new := [text for text in texts if text not in known]:
            known.update(zip(new, super().encode(folder, new, max_tokens), strict=True))
        return np.stack([known[text] for text in texts])


class Fold:
    """One fold's queries, and a store with its data set for the stages to run on."""

    def __init__(self, root: Path, write: Callable[[Path], None], encoders: Encoders) -> None:
        self.encoders = encoders
        self._artifacts = ArtifactStore(LocalStore(root / "store"), root / "cache")
        self._runner = StageRunner(self._artifacts, SystemClock(), root / "scratch")
        self._registry = MlflowRegistry(f"sqlite:///{root}/mlflow.db")
        self._dataset = self._publish(RefKind.DATASET, write)
        self.folder = self._artifacts.fetch(self._dataset)
        self.train, self.test = (read_judged(self.folder, name) for name in ("train", "test"))

    def fine_tune(self, section: TrainingSection) -> Path:
        """The checkpoint of the product's stage, started from the base model."""
        parent = self._publish(RefKind.PARENT, _write_parent)
        function = partial(training.run, registry=self._registry, encoders=self.encoders, task=TASK)
        inputs = {"parent": (parent,), "dataset": (self._dataset,)}
        return self._artifacts.fetch(self._run(FINE_TUNE, function, section, inputs))

    def base_vectors(self, texts: Sequence[str], section: TrainingSection) -> dict[str, np.ndarray]:
        """Each text's vector by the untrained base model."""
        base = self.encoders.base_folder(section.base_model)
        return dict(zip(texts, self.encoders.encode(base, texts, section.max_tokens), strict=True))

    def _publish(self, kind: RefKind, write: Callable[[Path], None]) -> Ref:
        def stage(context: StageContext) -> StageOutput:
            write(context.output)
            return StageOutput()

        return self._run(StageSpec(f"{kind.value}_given", 1, kind, sections=(), inputs=()), stage, _TITLE, {})

    def _run(self, spec: StageSpec, function: StageFunction, section: TrainingSection, inputs: Inputs) -> Ref:
        recipe = Recipe(name="search", owner="benchmarks", training=section)
        ref = self._runner.run(spec, function, recipe, _DAY, inputs)
        assert ref is not None
        return ref


def _bm25(fold: Fold) -> Scores:
    floor = read_bm25(fold.folder, fold.test)
    return [floor.score(query.query, query.titles) for query in fold.test]


def _untrained(fold: Fold) -> Scores:
    return cosines(fold.test, fold.base_vectors(floor_texts(fold.test), _TITLE))


def _blend(fold: Fold, section: TrainingSection) -> Scores:
    """The score as the stage learns it, with the base model in the encoder's place."""
    weights = training.learn_blend(fold.train, section, fold.encoders)
    blend = np.array([weights[name] for name in feature_names(section.views)])
    vectors = fold.base_vectors(texts_of(fold.test, section.views), section)
    return [(features_of(query, section.views, vectors) @ blend).tolist() for query in fold.test]


def _fine_tuned(fold: Fold, section: TrainingSection) -> Scores:
    return fold.encoders.trained_scores(fold.fine_tune(section), fold.test)


METHODS: dict[str, tuple[str, Callable[[Fold], Scores]]] = {
    "bm25": ("floor: BM25 on titles", _bm25),
    "untrained": ("floor: untrained cosine of query and title", _untrained),
    "blend": ("blend on the untrained encoder", partial(_blend, section=_TITLE)),
    "default": ("**default recipe**: fine-tuned encoder and blend", partial(_fine_tuned, section=_TITLE)),
    "blend_described": ("blend on the untrained encoder, with descriptions", partial(_blend, section=_BOTH)),
    "default_described": ("default recipe with descriptions (`views`)", partial(_fine_tuned, section=_BOTH)),
}


def _write_parent(folder: Path) -> None:
    (folder / "parent.json").write_text(Parent().model_dump_json())


def _read(data: Path) -> list[Row]:
    """Every judgement as a row of a data set, in an order by hash: training meets no order of the file's."""
    source = {"adapter": "crowdflower", "days": 1, "first_day": _DAY.label}
    recipe = Recipe.model_validate({"name": "model_selection", "owner": "benchmarks", "data": {"source": source}})
    with tempfile.TemporaryDirectory() as scratch:
        (written,) = open_source(recipe, data.resolve().as_uri()).deliver(_DAY, Path(scratch)).files
        delivered = pq.read_table(written).to_pylist()
    delivered.sort(key=lambda row: hashlib.sha256(row["event_id"].encode()).digest())
    same = {"weight": 1.0, "day": _DAY.label, "frequency": "", "negative": ""}
    return [
        {name: normalise(row[name] or "") for name in ("query", "item_id", "title", "description")}
        | {"query_id": query_id(row["query"]), "grade": float(row["grade"]), **same}
        for row in delivered
    ]


def _split(row: Row, number: int, folds: int) -> str:
    drawn = int.from_bytes(hashlib.sha256(f"{_SALT}:{query_key(row['query'])}".encode()).digest())
    if drawn % folds == number:
        return "test"
    return "validation" if drawn // folds % 8 == 0 else "train"


def _write_dataset(folder: Path, rows: Sequence[Row], number: int, folds: int) -> None:
    import datasets

    datasets.disable_progress_bars()
    parts: dict[str, dict[str, list[Any]]] = {name: {} for name in ("train", "validation", "test")}
    for name, columns in parts.items():
        kept = [row for row in rows if _split(row, number, folds) == name]
        columns.update({column: [row[column] for row in kept] for column in DATASET.names})
    datasets.DatasetDict({name: datasets.Dataset.from_dict(part) for name, part in parts.items()}).save_to_disk(folder)
    with tempfile.TemporaryDirectory() as scratch, open_duckdb(Path(scratch), memory_mb=512) as engine:
        titles = {name: parts["train"][name] for name in ("query_id", "item_id", "title")}
        write_counted(engine, count_words(engine, engine.load(pa.table(titles)), ["query_id", "item_id"]), folder)


def measure(data: Path, folds: int, only: Sequence[str]) -> dict[str, Any]:
    """The table's rows with what they were measured on."""
    rows = _read(data)
    names = [name for name in METHODS if name in {*FLOORS, *only}]
    found: dict[str, Row] = {name: {"ndcg@10": [], "mrr": [], "seconds": 0.0} for name in names}
    encoders = RememberingEncoders()
    for number in range(folds):
        with tempfile.TemporaryDirectory(prefix="recflow-selection-") as root:
            fold = Fold(Path(root), partial(_write_dataset, rows=rows, number=number, folds=folds), encoders)
            for name in names:
                _measure_one(f"fold {number + 1}/{folds} {name}", METHODS[name][1], fold, found[name])
    return {
        "rows": len(rows),
        "queries": len({row["query_id"] for row in rows}),
        "folds": folds,
        "salt": _SALT,
        "machine": machine(),
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "training": _TITLE.model_dump(mode="json"),
        **_summary(found, folds),
    }


def _measure_one(title: str, score: Callable[[Fold], Scores], fold: Fold, found: Row) -> None:
    began = time.perf_counter()
    values = by_query(fold.test, score(fold), None)
    seconds = time.perf_counter() - began
    found["seconds"] += seconds
    for metric in ("ndcg@10", "mrr"):
        found[metric] += values[metric]
    known = [value for value in values["ndcg@10"] if value is not None]
    print(f"{title}: nDCG@10 {np.mean(known):.4f} on {len(fold.test)} queries, {seconds:.1f} s", flush=True)


def _summary(found: dict[str, Row], folds: int) -> dict[str, Any]:
    floor = max(FLOORS, key=lambda name: _estimate(found[name]["ndcg@10"])["mean"])
    methods = []
    for name, values in found.items():
        row = {"name": name, "label": METHODS[name][0], "seconds_a_fold": round(values["seconds"] / folds, 1)}
        row |= {metric: _estimate(values[metric]) for metric in ("ndcg@10", "mrr")}
        row["over_floor"] = _paired(found, name, floor) if name != floor else None
        untuned = name.replace("default", "blend")
        row["over_blend"] = _paired(found, name, untuned) if untuned != name and untuned in found else None
        methods.append(row)
    return {"floor": floor, "methods": methods}


def _paired(found: dict[str, Row], name: str, other: str) -> dict[str, float]:
    pairs = zip(found[name]["ndcg@10"], found[other]["ndcg@10"], strict=True)
    return _estimate([None if a is None or b is None else a - b for a, b in pairs])


def _estimate(values: Sequence[float | None]) -> dict[str, float]:
    known = [value for value in values if value is not None]
    found = asdict(bootstrap(known, confidence=0.95, samples=_ROUNDS, seed=_SEED))
    return {name: round(value, 5) for name, value in found.items()}


def render(source: Path = OUT, page: Path = PAGE) -> None:
    """Write docs/results.md from the JSON and the words in model_selection.md."""
    result = json.loads(source.read_text())
    labels = {row["name"]: row["label"].removeprefix("floor: ") for row in result["methods"]}
    filled = TEXT.read_text().format(
        **result,
        floor_label=labels[result["floor"]],
        table="\n".join(_line(row) for row in result["methods"]),
        verdicts="\n".join(_verdict(row) for row in result["methods"] if row["name"] not in FLOORS) or "- not measured",
    )
    page.write_text(filled)


def _line(row: Row) -> str:
    ndcg, mrr = (
        f"{row[name]['mean']:.4f} ± {(row[name]['high'] - row[name]['low']) / 2:.4f}" for name in ("ndcg@10", "mrr")
    )
    cells = (row["label"], ndcg, mrr, _interval(row["over_floor"]), _interval(row["over_blend"]), row["seconds_a_fold"])
    return f"| {' | '.join(map(str, cells))} |"


def _interval(found: dict[str, float] | None) -> str:
    return f"{found['mean']:+.4f} [{found['low']:+.4f}, {found['high']:+.4f}]" if found else ""


def _verdict(row: Row) -> str:
    gain = row["over_floor"]
    above = "its interval lies above zero" if gain["low"] > 0 else "its interval does not lie above zero"
    met = "met" if gain["mean"] >= TARGET and gain["low"] > 0 else "missed"
    text = f"- {row['label']}: **{met}** ({gain['mean']:+.4f}; {above})."
    if tuning := row["over_blend"]:
        told = "is told apart from none" if tuning["low"] > 0 or tuning["high"] < 0 else "is not told apart from none"
        text += f" What fine-tuning changes over the same blend, {tuning['mean']:+.4f}, {told} on these queries."
    return text


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="Folder of CSV files in CrowdFlower's columns.")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument(
        "--only", nargs="+", choices=METHODS, default=list(METHODS), metavar="NAME", help=", ".join(METHODS)
    )
    parser.add_argument(
        "--out", type=Path, default=OUT, help="The page is docs/results.md, or lies beside another file."
    )
    arguments = parser.parse_args()
    result = measure(arguments.data, arguments.folds, arguments.only)
    arguments.out.write_text(json.dumps(result, indent=1) + "\n")
    render(arguments.out, PAGE if arguments.out == OUT else arguments.out.with_suffix(".md"))
