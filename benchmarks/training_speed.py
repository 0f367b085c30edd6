"""Training examples a second: recflow's loop against the plain one, a fresh head on the pair, padded to 128, in fp32.

Both fine-tune the same base model on the same rows in this run, one epoch. The value compares the loops' steps, forward
to optimiser; `all_included` charges ours with what the plain loop does not do: learning the blend, tokenising ahead and
three evaluations, which weigh most on few rows. The ratio
only counts at equal or better nDCG@10 on held-out queries, so both are measured.
"""

import csv
import hashlib
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from recflow.config.sections.training import TrainingSection
from recflow.domain.judged import JudgedQuery
from recflow.domain.ranking import ndcg
from recflow.domain.text import normalise
from recflow.errors import BadConfiguration
from recflow.training import run as training
from recflow.training.encoder import Encoders
from recflow.training.features import features_of, texts_of
from recflow.training.gang import join_gang
from recflow.training.loop import fit

TARGET = 3.0
_PADDED, _BATCH, _RATE = 128, 16, 2e-5
_SEED = 7


@dataclass(frozen=True)
class Reading:
    """One loop's examples a second, the same with everything beside the steps, and mean nDCG@10 on held-out queries."""

    rate: float
    all_included: float
    ndcg: float


def measure(quick: bool = False) -> dict[str, object]:
    """The ratio of the two loops, with what stands behind it."""
    train, validation, test = _splits(16 if quick else 64)
    ours, plain = _ours(train, validation, test), _plain(train, test)
    return {
        "name": "training_speed",
        "value": round(ours.rate / plain.rate, 2),
        "unit": "x examples/s",
        "against": "plain loop: pair padded to 128, batch 16, fp32, fresh 4-class head, one epoch",
        "target": TARGET,
        "better": "higher",
        "rows": sum(len(query.titles) for query in train),
        "examples_per_s": round(ours.rate, 1),
        "examples_per_s_plain": round(plain.rate, 1),
        "all_included": round(ours.all_included / plain.all_included, 2),
        "ndcg": round(ours.ndcg, 4),
        "ndcg_plain": round(plain.ndcg, 4),
        "ndcg_equal_or_better": ours.ndcg >= plain.ndcg,
    }


def _ours(train: list[JudgedQuery], validation: list[JudgedQuery], test: list[JudgedQuery]) -> Reading:
    section = TrainingSection(epochs=1, trained_layers=4)
    encoders = Encoders()
    base = encoders.base_folder(section.base_model)
    encoder, anchor = encoders.load(base), encoders.load(base)
    tokenizer = encoders.tokenizer(base, section.max_tokens)
    began = time.perf_counter()
    weights = training.learn_blend(train, section, encoders)
    scaled = training.loss_scaled(weights, section)
    tokenised = [list(training.tokenise(part, section, tokenizer, scaled)) for part in (train, validation)]
    with tempfile.TemporaryDirectory() as scratch, join_gang() as gang:
        state = Path(scratch) / "state"
        fitted = fit(encoder, section, *tokenised, base=anchor, scales=[scaled["cosine_title"]], gang=gang, state=state)
        seconds = time.perf_counter() - began
        encoder.backbone.save_pretrained(scratch)
        tokenizer.save(Path(scratch))
        texts = texts_of(test, section.views)
        vectors = dict(zip(texts, encoders.encode(Path(scratch), texts, section.max_tokens), strict=True))
    blend = np.array(list(weights.values()))
    scores = [(features_of(query, section.views, vectors) @ blend).tolist() for query in test]
    progress = fitted.progress
    return Reading(progress.examples / progress.seconds, progress.examples / seconds, _ndcg(test, scores))


def _plain(train: list[JudgedQuery], test: list[JudgedQuery]) -> Reading:
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    torch.manual_seed(_SEED)
    folder = str(Encoders().base_folder(TrainingSection().base_model))
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=4)
    optimizer = torch.optim.AdamW(model.parameters(), lr=_RATE)
    rows = [row for query in train for row in _rows(query)]
    order = torch.randperm(len(rows)).tolist()
    began = time.perf_counter()
    model.train()
    for start in range(0, len(order), _BATCH):
        batch = [rows[index] for index in order[start : start + _BATCH]]
        encoded = _padded(tokenizer, [row[0] for row in batch], [row[1] for row in batch])
        loss = model(**encoded, labels=torch.tensor([row[2] for row in batch])).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    seconds = time.perf_counter() - began
    model.eval()
    with torch.inference_mode():
        scores = [_expected_grades(model, tokenizer, query) for query in test]
    return Reading(len(rows) / seconds, len(rows) / seconds, _ndcg(test, scores))


def _rows(query: JudgedQuery) -> list[tuple[str, str, int]]:
    return [(query.query, title, int(grade)) for title, grade in zip(query.titles, query.grades, strict=True)]


def _expected_grades(model: Any, tokenizer: Any, query: JudgedQuery) -> list[float]:
    logits = model(**_padded(tokenizer, [query.query] * len(query.titles), query.titles)).logits
    return (logits.softmax(-1) @ torch.arange(4.0)).tolist()


def _padded(tokenizer: Any, queries: Sequence[str], titles: Sequence[str]) -> Any:
    settings = {"padding": "max_length", "truncation": True, "max_length": _PADDED, "return_tensors": "pt"}
    return tokenizer(list(queries), list(titles), **settings)


def _ndcg(queries: list[JudgedQuery], scores: list[list[float]]) -> float:
    known = [ndcg(query.grades, given) for query, given in zip(queries, scores, strict=True)]
    return float(np.mean([value for value in known if value is not None]))


def _splits(train: int) -> tuple[list[JudgedQuery], list[JudgedQuery], list[JudgedQuery]]:
    """Real judged queries: `train` to train on, 12 to stop by, 40 to compare on."""
    queries = sorted(_crowdflower(), key=lambda query: hashlib.sha256(query.query.encode()).digest())
    return queries[52 : 52 + train], queries[40:52], queries[:40]


def _crowdflower() -> Iterator[JudgedQuery]:
    root = Path(os.environ.get("RECFLOW_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data")
    folder = root / "crowdflower-search-relevance" / "ValidationFolds"
    if not folder.is_dir():
        raise BadConfiguration(
            "training speed is measured on real judged pairs", expected=f"the folder {folder}", seen="none",
            action="set RECFLOW_DATA to the folder that holds crowdflower-search-relevance",
        )  # fmt: skip
    rows: dict[str, list[tuple[str, float]]] = {}
    for path in sorted(folder.glob("*-test.csv")):
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                judged = (normalise(row["product_title"]), float(row["median_relevance"]) - 1)
                rows.setdefault(normalise(row["query"]).casefold(), []).append(judged)
    for query, items in rows.items():
        ones = (1.0,) * len(items)
        titles, grades = zip(*items, strict=True)
        yield JudgedQuery(query, query, titles, ("",) * len(items), grades, ones, "")
