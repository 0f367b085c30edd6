"""Fine-tune: load the data set, tokenise once, learn the blend, train, keep the best checkpoint, record it."""

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from recflow.artifacts.parents import Parent
from recflow.config.sections.training import TrainingSection
from recflow.config.tasks import section_as
from recflow.domain import lexical
from recflow.domain.judged import JudgedQuery, JudgedSplit, open_judged
from recflow.protocols import ModelRegistry
from recflow.stages import StageContext, StageOutput
from recflow.tasks.base import Task
from recflow.training.bases import base_digest, refuse_too_long
from recflow.training.batches import TokenisedQuery
from recflow.training.blend import fit_blend
from recflow.training.encoder import Encoder, Encoders, Tokenizer
from recflow.training.features import feature_names, features_of, texts_of, view_texts
from recflow.training.gang import Gang, join_gang
from recflow.training.loop import Fitted, fit
from recflow.training.own import train
from recflow.training.recorded import record_run
from recflow.training.stored import store_queries

log = logging.getLogger(__name__)

_BLEND_ITEMS = 50_000
_TOKENISED_AT_ONCE = 500  # queries


def run(context: StageContext, *, registry: ModelRegistry, encoders: Encoders, task: Task) -> StageOutput:
    """By the task's own trainer, or the fine-tuning of a text encoder."""
    if task.trainer is not None:
        return train(context, task.trainer(), registry)
    return fine_tune(context, registry, encoders)


def fine_tune(context: StageContext, registry: ModelRegistry, encoders: Encoders) -> StageOutput:
    """Train on the train split, stop by the validation split; write `encoder/`, `scorer.json`, `training.json`.

    In a gang every process trains; the first one writes. BadData for an empty split or missing
    labels, BadConfiguration for texts longer than the base model reads.
    """
    section = section_as(context.recipe.training, TrainingSection)
    dataset = context.folder("dataset")
    base = encoders.base_folder(section.base_model)
    refuse_too_long(section, base)
    learned, validation = _held_apart(open_judged(dataset, "train"), open_judged(dataset, "validation", required=False))
    start = starting_folder(context, encoders)
    with (
        join_gang(encoders.threads) as gang,
        TemporaryDirectory(dir=context.output.parent, prefix="tokenised-") as folder,
    ):
        tokenizer = encoders.tokenizer(start, section.max_tokens)
        weights = learn_blend(learned, section, encoders)
        encoder = encoders.load(start, dropout=section.dropout)
        scaled = loss_scaled(weights, section)
        fitted = fit(
            encoder,
            section,
            *(
                store_queries(tokenise(part, section, tokenizer, scaled), Path(folder) / name, views=len(section.views))
                for name, part in (("train", learned), ("validation", validation))
            ),
            base=encoders.load(base),
            scales=[scaled[f"cosine_{view}"] for view in section.views],
            gang=gang,
            state=context.scratch / "training.safetensors",
        )
        made = _finish(context, registry, gang, encoder, tokenizer, weights, fitted)
    return replace(made, numbers={**made.numbers, "base_model": base_digest(base)})


def _held_apart(train: JudgedSplit, validation: JudgedSplit) -> tuple[JudgedSplit, JudgedSplit]:
    """A day too small to hold a validation query gives every tenth train query for it."""
    if len(validation) or len(train) < 2:
        return train, validation
    ordered = sorted(range(len(train)), key=train.query_id)
    return train.only([place for index, place in enumerate(ordered) if index % 10]), train.only(ordered[::10])


def starting_folder(context: StageContext, encoders: Encoders) -> Path:
    """The weights to start from: the encoder of a parent that was made from the same base, else the base model."""
    section = section_as(context.recipe.training, TrainingSection)
    parent = Parent.model_validate_json((context.folder("parent") / "parent.json").read_bytes())
    if section.start == "parent" and parent.checkpoint is not None:
        folder = context.artifacts.fetch(parent.checkpoint)
        made_from = json.loads((folder / "recipe.json").read_bytes())["training"]["base_model"]
        if made_from == section.base_model:
            return folder / "encoder"
        log.warning("cold start: the parent was made from %s, the recipe says %s", made_from, section.base_model)
    return encoders.base_folder(section.base_model)


def learn_blend(train: Sequence[JudgedQuery], section: TrainingSection, encoders: Encoders) -> dict[str, float]:
    """The weight of each feature, from train queries and the base model's cosines.

    The base and not the trained encoder: it has not seen the training labels, so its cosines are as good here as on
    new queries, while a trained one looks too good on its own rows and would be given too much weight. A dozen weights
    are learned from evenly chosen queries of about _BLEND_ITEMS items, which any number of rows has no more to tell of.
    """
    train = _some(train)
    base = encoders.base_folder(section.base_model)
    texts = texts_of(train, section.views)
    vectors = dict(zip(texts, encoders.encode(base, texts, section.max_tokens), strict=True))
    features = [features_of(query, section.views, vectors) for query in train]
    grades = [np.array(query.grades) for query in train]
    learned = fit_blend(features, grades, [np.array(query.weights) for query in train])
    return dict(zip(feature_names(section.views), map(float, learned), strict=True))


def _some(train: Sequence[JudgedQuery]) -> list[JudgedQuery]:
    """Every n-th query, so that about _BLEND_ITEMS items are left of more."""
    items = train.items if isinstance(train, JudgedSplit) else sum(len(query.titles) for query in train)
    return list(train[:: -(-items // _BLEND_ITEMS) or 1])


def loss_scaled(weights: Mapping[str, float], section: TrainingSection) -> dict[str, float]:
    """The blend at the loss's scale: cosines weigh `similarity_scale` in sum, the other features in proportion.

    Where the labels say that likeness is no merit (cosines below 0 in sum) the cosines are trained by themselves.
    """
    names = [f"cosine_{view}" for view in section.views]
    likeness = sum(weights[name] for name in names)
    if likeness <= 0:
        return {name: section.similarity_scale / len(names) if name in names else 0.0 for name in weights}
    return {name: weight * section.similarity_scale / likeness for name, weight in weights.items()}


def tokenise(
    queries: Sequence[JudgedQuery], section: TrainingSection, tokenizer: Tokenizer, weights: Mapping[str, float]
) -> Iterator[TokenisedQuery]:
    """Token ids of every text and the lexical part of each score, some queries at a time."""
    for start in range(0, len(queries), _TOKENISED_AT_ONCE):
        yield from _tokenised(queries[start : start + _TOKENISED_AT_ONCE], section, tokenizer, weights)


def _tokenised(
    queries: Sequence[JudgedQuery], section: TrainingSection, tokenizer: Tokenizer, weights: Mapping[str, float]
) -> list[TokenisedQuery]:
    texts = texts_of(queries, section.views)
    ids = dict(zip(texts, tokenizer(texts), strict=True))
    lexical_weights = np.array([weights[name] for name in lexical.NAMES])
    return [
        TokenisedQuery(
            ids[query.query],
            tuple(tuple(ids[text] for text in view_texts(query, view)) for view in section.views),
            np.array(query.grades, dtype=np.float32),
            np.array(query.weights, dtype=np.float32),
            np.asarray(np.array(lexical.features(query.query, query.titles)) @ lexical_weights, dtype=np.float32),
        )
        for query in queries
    ]


def _finish(
    context: StageContext,
    registry: ModelRegistry,
    gang: Gang,
    encoder: Encoder,
    tokenizer: Tokenizer,
    weights: Mapping[str, float],
    fitted: Fitted,
) -> StageOutput:
    if not gang.leads:
        return StageOutput()
    _write(context, encoder, tokenizer, weights, fitted)
    progress = fitted.progress
    numbers = {
        "validation_ndcg": round(progress.best_ndcg, 4),
        "best_step": progress.best_step,
        "steps": progress.step,
        "examples": progress.examples,
        "seconds": round(progress.seconds, 1),
    }
    curve = fitted.progress.curve
    curves = {name: [(point.step, getattr(point, name)) for point in curve] for name in ("loss", "ndcg")}
    record_run(context, registry, {name: float(value) for name, value in numbers.items()}, curves)
    return StageOutput(numbers=dict(numbers))


def _write(
    context: StageContext, encoder: Encoder, tokenizer: Tokenizer, weights: Mapping[str, float], fitted: Fitted
) -> None:
    folder = context.output / "encoder"
    backbone: Any = encoder.backbone
    backbone.save_pretrained(str(folder), safe_serialization=True)
    tokenizer.save(folder)
    scorer = {"format": 1, "max_tokens": tokenizer.max_tokens, "weights": dict(weights)}
    (context.output / "scorer.json").write_text(json.dumps(scorer, indent=1))
    (context.output / "training.json").write_text(json.dumps(fitted.report(), indent=1))
