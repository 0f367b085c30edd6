"""Small data sets and tiny encoders: what the models' rooms are tested on in seconds."""

import hashlib
import json
import random
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from recflow.domain.lexical import words

COLOURS = ("red", "blue", "green", "black", "white", "pink")
THINGS = ("shoe", "phone", "lamp", "chair", "kettle", "guitar", "tent", "watch")
_ROW = ("query_id", "query", "item_id", "title", "description", "grade", "weight", "day", "frequency")


def shop_rows(queries: int, *, items: int = 8, seed: int = 0, shuffled: bool = False) -> list[dict[str, Any]]:
    """Rows of a tiny shop: grade 3 for colour and thing, 2 for the thing, 1 for the colour, 0 for neither."""
    chance = random.Random(seed)
    asked = [f"{colour} {thing}" for colour in COLOURS for thing in THINGS]
    rows = [row for query in asked[:queries] for row in _rows_of(query, items, chance)]
    if shuffled:
        grades = [row["grade"] for row in rows]
        chance.shuffle(grades)
        rows = [{**row, "grade": grade} for row, grade in zip(rows, grades, strict=True)]
    return rows


def _rows_of(query: str, items: int, chance: random.Random) -> Iterable[dict[str, Any]]:
    colour, thing = query.split()
    for number in range(items):
        shown = colour if number % 4 in (0, 2) else chance.choice([c for c in COLOURS if c != colour])
        what = thing if number % 4 in (0, 1) else chance.choice([t for t in THINGS if t != thing])
        grade = 2.0 * (what == thing) + 1.0 * (shown == colour)
        yield judged_row(query, f"{shown} {what} {chance.randrange(90)}", grade, item=f"{query}-{number}")


def judged_row(query: str, title: str, grade: float, *, item: str = "", description: str = "") -> dict[str, Any]:
    digest = hashlib.sha256(query.encode()).hexdigest()[:16]
    item = item or hashlib.sha256(title.encode()).hexdigest()[:8]
    frequency = ("head", "torso", "tail")[int(digest, 16) % 3]
    return dict(zip(_ROW, (digest, query, item, title, description, grade, 1.0, "2011-01-01", frequency), strict=True))


def write_dataset(folder: Path, splits: dict[str, list[dict[str, Any]]]) -> Path:
    """A data set in the contract's form from rows of each split."""
    import datasets

    datasets.disable_progress_bars()
    columns = {name: {key: [row[key] for row in rows] for key in _ROW} for name, rows in splits.items()}
    datasets.DatasetDict({name: datasets.Dataset.from_dict(data) for name, data in columns.items()}).save_to_disk(
        folder
    )
    _write_floors(folder, [row["title"] for row in splits.get("train", [])])
    (folder / "dataset.json").write_text("{}")
    return folder


def _write_floors(folder: Path, titles: list[str]) -> None:
    """What floors are made of, as the data set's stage counts it; nobody has chosen anything."""
    documents = [words(title) for title in titles]
    found = Counter(word for document in documents for word in set(document))
    counted = {"word": pa.array(found, pa.string()), "titles": pa.array(found.values(), pa.int64())}
    pq.write_table(pa.table(counted), folder / "words.parquet")
    told = {"number": len(titles), "mean_words": sum(map(len, documents)) / max(1, len(titles))}
    (folder / "titles.json").write_text(json.dumps(told))
    acts = {"item_id": pa.array([], pa.string()), "acts": pa.array([], pa.int64())}
    pq.write_table(pa.table(acts), folder / "popularity.parquet")


def tiny_base(folder: Path, *, seed: int = 0) -> Path:
    """A BERT of 2 layers and width 32 with random weights, and a word tokenizer over the tiny shop's words."""
    import torch
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *COLOURS, *THINGS, *map(str, range(100)), "case", "for", "."]
    tokenizer = Tokenizer(models.WordLevel({word: index for index, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=len(words),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=64,
    )
    BertModel(config).save_pretrained(str(folder))
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="[UNK]", pad_token="[PAD]")
    fast.save_pretrained(str(folder))
    return folder
