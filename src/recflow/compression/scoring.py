"""The scorer: strings in, scores out. Stand-alone: copied into every model by digest, it knows nothing of recflow.

Beside it in the model's folder: model.onnx, tokenizer.json, scorer.json, text.py, lexical.py. It needs numpy,
onnxruntime and tokenizers, and runs in training's environment as in the server's.
"""

import importlib.util
import json
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

Request = tuple[str, Sequence[str], Sequence[str]]
_BATCH_TOKENS = 2048
_LONGER = 1.1
_COSINE = "cosine_"


class Scorer:
    """Scores the items of a query: a weighted sum of cosines and lexical features.

    `threads` is for one inference. Vectors of the last `cached_texts` texts are kept, so that an item that many
    queries show is encoded once; 0 keeps none.
    """

    def __init__(self, folder: str, threads: int = 1, *, cached_texts: int = 20_000) -> None:
        import onnxruntime
        from tokenizers import Tokenizer

        root = Path(folder)
        self._text, self._lexical = _load(root / "text.py"), _load(root / "lexical.py")
        settings = json.loads((root / "scorer.json").read_text(encoding="utf-8"))
        self._alone: bool = settings["each_text_alone"]
        self._weights: dict[str, float] = settings["weights"]
        self._views = [name.removeprefix(_COSINE) for name in self._weights if name.startswith(_COSINE)]
        self._lexical_weights = np.array([self._weights[name] for name in self._lexical.NAMES])
        self._tokenizer: Any = Tokenizer.from_file(str(root / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(settings["max_tokens"])
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        self._session: Any = onnxruntime.InferenceSession(
            str(root / "model.onnx"), options, providers=["CPUExecutionProvider"]
        )
        self._cached_texts = cached_texts
        self._cache: OrderedDict[str, np.ndarray] = OrderedDict()

    def score(self, query: str, titles: Sequence[str], descriptions: Sequence[str]) -> list[float]:
        """One score an item, in the items' order; higher is more relevant."""
        return self.score_many([(query, titles, descriptions)])[0]

    def score_many(self, requests: Sequence[Request]) -> list[list[float]]:
        """The scores of several requests; each distinct text of all of them is encoded once."""
        clean = [self._clean(*request) for request in requests]
        texts = [text for query, _, views in clean for text in [query, *(text for view in views for text in view)]]
        vectors = self.vectors(texts)
        return [(self._features(*request, vectors) @ self._all_weights()).tolist() for request in clean]

    def features(self, query: str, titles: Sequence[str], descriptions: Sequence[str]) -> np.ndarray:
        """The features (items, features) of one request, in the order of scorer.json's weights."""
        request = self._clean(query, titles, descriptions)
        return self._features(*request, self.vectors([request[0], *(text for view in request[2] for text in view)]))

    def token_ids(self, texts: Sequence[str]) -> list[tuple[int, ...]]:
        """Token ids of texts, special tokens included, cut at the model's limit."""
        return [tuple(encoding.ids) for encoding in self._tokenizer.encode_batch(list(texts))]

    def vectors(self, texts: Sequence[str]) -> dict[str, np.ndarray]:
        """Vectors of length 1 by text."""
        known = {text: self._cache[text] for text in dict.fromkeys(texts) if text in self._cache}
        new = [text for text in dict.fromkeys(texts) if text not in known]
        known |= dict(zip(new, self._encode(new), strict=True))
        for text in known if self._cached_texts else ():
            self._cache[text] = known[text]
            self._cache.move_to_end(text)
        while len(self._cache) > self._cached_texts:
            self._cache.popitem(last=False)
        return known

    def _clean(
        self, query: str, titles: Sequence[str], descriptions: Sequence[str]
    ) -> tuple[str, list[str], list[list[str]]]:
        if len(titles) != len(descriptions):
            raise ValueError(f"{len(titles)} titles, {len(descriptions)} descriptions")
        normalise = self._text.normalise
        shown = [normalise(title) for title in titles]
        views = [shown if view == "title" else self._described(shown, descriptions) for view in self._views]
        return normalise(query), shown, views

    def _described(self, titles: list[str], descriptions: Sequence[str]) -> list[str]:
        pairs = zip(titles, descriptions, strict=True)
        return [self._lexical.described(title, self._text.normalise(text)) for title, text in pairs]

    def _features(
        self, query: str, titles: list[str], views: list[list[str]], vectors: dict[str, np.ndarray]
    ) -> np.ndarray:
        asked = vectors[query]
        cosines = [[float(vectors[text] @ asked) for text in view] for view in views]
        shape = (len(titles), -1) if titles else (0, len(self._lexical.NAMES))
        return np.hstack(
            [
                np.array(cosines).reshape(len(views), len(titles)).T,
                np.reshape(self._lexical.features(query, titles), shape),
            ]
        )

    def _all_weights(self) -> np.ndarray:
        return np.concatenate([[self._weights[_COSINE + view] for view in self._views], self._lexical_weights])

    def _encode(self, texts: Sequence[str]) -> list[np.ndarray]:
        """Vectors of texts, in their order."""
        ids = self.token_ids(texts)
        result: list[np.ndarray] = [np.empty(0)] * len(ids)
        for batch in batches(list(map(len, ids)), alone=self._alone):
            for index, vector in zip(batch, self._run([ids[index] for index in batch]), strict=True):
                result[index] = vector
        return result

    def _run(self, rows: list[tuple[int, ...]]) -> np.ndarray:
        ids = np.zeros((len(rows), max(map(len, rows))), dtype=np.int64)
        mask = np.zeros_like(ids)
        for row, tokens in enumerate(rows):
            ids[row, : len(tokens)] = tokens
            mask[row, : len(tokens)] = 1
        outputs = self._session.run(["sentence_embedding"], {"input_ids": ids, "attention_mask": mask})
        return np.asarray(outputs[0], dtype=np.float32)


def batches(lengths: Sequence[int], *, alone: bool) -> list[list[int]]:
    """Which texts, of these numbers of tokens, go through the model together: their indices, the shortest first.

    Within a batch no text is over 10 % longer than the shortest, so that little is padding. `alone` is for a model
    whose vectors depend on what shares the batch: no score then depends on company, in serving or in judging.
    """
    found: list[list[int]] = []
    for index in sorted(range(len(lengths)), key=lengths.__getitem__):
        batch, length = found[-1] if found else [], lengths[index]
        fits = batch and length <= _LONGER * lengths[batch[0]] and length * (len(batch) + 1) <= _BATCH_TOKENS
        if fits and not alone:
            batch.append(index)
        else:
            found.append([index])
    return found


def _load(path: Path) -> ModuleType:
    """A module from its file under a name of its own, so that two models in one process cannot mix."""
    spec = importlib.util.spec_from_file_location(f"{path.stem}_of_{path.parent.name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
