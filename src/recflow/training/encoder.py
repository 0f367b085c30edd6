"""The encoder: one transformer for queries and items, mean pooling, unit length."""

import json
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from recflow.domain.judged import JudgedQuery
from recflow.errors import PermanentError
from recflow.training.bases import base_folder
from recflow.training.features import feature_names, features_of, texts_of

TokenIds = tuple[int, ...]
_CHUNK_TOKENS = 2048


class Encoder(nn.Module):
    """Token ids and mask (texts, tokens) to vectors of length 1 (texts, width), fp32."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """The mean of the last layer over each text's own tokens, scaled to length 1."""
        hidden = self.backbone(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state.float()
        mask = attention_mask.unsqueeze(-1).float()
        return nn.functional.normalize((hidden * mask).sum(1) / mask.sum(1).clamp(min=1), dim=-1)


class Encoders:
    """Finds and loads encoders: base models by name, checkpoints by folder. Nothing is downloaded."""

    def __init__(self, base_models: Path | None = None, *, threads: int = 0) -> None:
        self._base_models, self.threads = base_models, threads

    def base_folder(self, name: str) -> Path:
        """A base model's folder, as `bases.base_folder` finds it."""
        return base_folder(name, self._base_models)

    def load(self, folder: Path, *, dropout: float = 0.0) -> Encoder:
        """The encoder of a folder of safetensors; PermanentError when its files cannot be read."""
        _be_quiet()
        from transformers import AutoModel

        rates = {"hidden_dropout_prob": dropout, "attention_probs_dropout_prob": dropout}
        try:
            known = {name: rate for name, rate in rates.items() if f'"{name}"' in (folder / "config.json").read_text()}
            model = AutoModel.from_pretrained(str(folder), local_files_only=True, use_safetensors=True, **known)
        except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
            raise PermanentError(
                f"encoder {folder.name} cannot be loaded", expected="config.json and model.safetensors", seen=str(error)
            ) from error
        encoder = Encoder(model.float())
        if getattr(model, "pooler", None) is not None:
            model.pooler.requires_grad_(requires_grad=False)
        return encoder.eval()

    def tokenizer(self, folder: Path, max_tokens: int) -> "Tokenizer":
        """The tokenizer of a folder, cutting texts at `max_tokens`."""
        return Tokenizer(folder, max_tokens)

    def trained_scores(self, checkpoint: Path, queries: Sequence[JudgedQuery]) -> list[list[float]]:
        """Scores of each query's items by a checkpoint, computed as training does."""
        scorer = json.loads((checkpoint / "scorer.json").read_text())
        weights = scorer["weights"]
        views = [name.removeprefix("cosine_") for name in weights if name.startswith("cosine_")]
        texts = texts_of(queries, views)
        vectors = dict(zip(texts, self.encode(checkpoint / "encoder", texts, scorer["max_tokens"]), strict=True))
        blend = np.array([weights[name] for name in feature_names(views)])
        return [(features_of(query, views, vectors) @ blend).tolist() for query in queries]

    def encode(self, folder: Path, texts: Sequence[str], max_tokens: int) -> np.ndarray:
        """Vectors (texts, width) of texts by the encoder of a folder, without gradients."""
        encoder, tokenizer = self.load(folder), self.tokenizer(folder, max_tokens)
        with torch.inference_mode():
            return embed(encoder, tokenizer(texts)).numpy()


class Tokenizer:
    """The checkpoint's own tokenizer, as transformers loads it."""

    def __init__(self, folder: Path, max_tokens: int) -> None:
        _be_quiet()
        from transformers import AutoTokenizer

        self._tokenizer: Any = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
        self.max_tokens = max_tokens

    def __call__(self, texts: Sequence[str]) -> list[TokenIds]:
        """Ids of each text, special tokens included."""
        if not texts:
            return []
        encoded = self._tokenizer(list(texts), truncation=True, max_length=self.max_tokens, padding=False)
        return [tuple(ids) for ids in encoded["input_ids"]]

    def save(self, folder: Path) -> None:
        """Write the tokenizer's files."""
        self._tokenizer.save_pretrained(str(folder))


def embed(encode: Callable[[Tensor, Tensor], Tensor], sequences: Sequence[TokenIds], device: str = "cpu") -> Tensor:
    """Vectors of token sequences, in their order. Each distinct one is encoded once, beside others of its length."""
    distinct = sorted(dict.fromkeys(sequences), key=len)
    place = {sequence: index for index, sequence in enumerate(distinct)}
    vectors = torch.cat([encode(*_pad(chunk, device)) for chunk in _chunks(distinct)])
    return vectors[torch.tensor([place[sequence] for sequence in sequences], device=vectors.device)]


def _chunks(ascending: Sequence[TokenIds]) -> Iterator[Sequence[TokenIds]]:
    start = 0
    for end in range(1, len(ascending) + 1):
        full = end < len(ascending) and (end - start + 1) * len(ascending[end]) > _CHUNK_TOKENS
        if full or end == len(ascending):
            yield ascending[start:end]
            start = end


def _pad(sequences: Sequence[TokenIds], device: str) -> tuple[Tensor, Tensor]:
    ids = torch.zeros(len(sequences), max(map(len, sequences)), dtype=torch.long)
    mask = torch.zeros_like(ids)
    for row, sequence in enumerate(sequences):
        ids[row, : len(sequence)] = torch.tensor(sequence)
        mask[row, : len(sequence)] = 1
    return ids.to(device), mask.to(device)


def _be_quiet() -> None:
    os.environ["HF_HUB_OFFLINE"] = os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    logging.getLogger("transformers").setLevel(logging.ERROR)
