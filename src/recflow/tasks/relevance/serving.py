"""Relevance as it is served: what a shop asks, how that becomes tensors, and what a shopper is shown."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict

from recflow.artifacts.events import ComparedItem, Exposure, ShownItem
from recflow.config.sections.cleaning import CleaningSection
from recflow.config.sections.serving import ServingSection
from recflow.domain.agreement import kendall_tau, mean_difference, overlap
from recflow.domain.free_text import NORMALISE, cleaned, rules_for_catalogue, rules_for_people
from recflow.domain.golden import Golden
from recflow.domain.judged import JudgedQuery
from recflow.domain.lexical import words
from recflow.domain.ranking import order
from recflow.domain.requests import ItemId, Refusal, Request, null_as
from recflow.domain.signatures import Signature, Tensor, Tensors, texts
from recflow.domain.text import normalise
from recflow.tasks.base import Ordered, Serving
from recflow.tasks.relevance import tensors

_LENGTHS = ((5, "lists of 2 to 5 items"), (10, "lists of 6 to 10 items"), (50, "lists of 11 to 50 items"))
_WORDS = ((1, "queries of one word"), (3, "queries of two or three words"))
_ODD_TEXTS = ("", "红色跑鞋 男", "🏃👟", "ｆｕｌｌ　ｗｉｄｔｈ", "\x00\u200b", "<b>&amp;", "long " * 500)
_Text = Annotated[str, null_as("")]


class Item(BaseModel):
    """One item to rank; further attributes are welcome and not read."""

    model_config = ConfigDict(coerce_numbers_to_str=True)
    id: ItemId
    title: _Text = ""
    description: _Text = ""


class RankRequest(Request):
    """Order items for a query."""

    query: str
    items: list[Item]


def rank_tensors(query: str, titles: Iterable[str], descriptions: Iterable[str]) -> dict[str, np.ndarray]:
    """One query with its items, as the model takes them."""
    return {"QUERY": texts(iter([query])), "TITLE": texts(iter(titles)), "DESCRIPTION": texts(iter(descriptions))}


class RelevanceServing(Serving[RankRequest]):
    """A query and items in, the items in the order of their scores out."""

    endpoint = "rank"
    request = RankRequest
    signature = Signature(
        inputs=(
            Tensor(name="QUERY", datatype="BYTES", dims=(1,)),
            Tensor(name="TITLE", datatype="BYTES", dims=("items",)),
            Tensor(name="DESCRIPTION", datatype="BYTES", dims=("items",)),
        ),
        outputs=(Tensor(name="SCORE", datatype="FP32", dims=("items",)),),
    )
    adapter = Path(str(tensors.__file__))
    model_files = ("model.onnx", "tokenizer.json", "scorer.json")
    axis = "items"
    ordered = True
    fallback = "lexical"
    agreement = "tau"

    def refuse(self, request: RankRequest, limits: ServingSection) -> None:
        """422 with the code of the first limit that the request breaks."""
        ids = {item.id for item in request.items}
        longest, most = limits.max_query_characters, limits.max_items
        broken = {
            ("empty_query", "the query has no visible character"): not normalise(request.query),
            ("query_too_long", f"the query may have {longest} characters"): len(request.query) > longest,
            ("no_items", "there is nothing to rank"): not request.items,
            ("too_many_items", f"{most} items may be ranked at once"): len(request.items) > most,
            ("duplicate_items", "an item id occurs twice"): len(ids) < len(request.items),
        }
        for (code, message), is_broken in broken.items():
            if is_broken:
                raise Refusal(422, code, message)

    def cleaned(self, request: RankRequest, cleaning: CleaningSection) -> RankRequest:
        """The query by the rules for people, items by those for the catalogue. Ids stay: they are the shop's own."""
        changes = {
            "query": cleaned(request.query, rules_for_people(cleaning)),
            "items": [_clean_item(item, cleaning) for item in request.items],
        }
        return request.model_copy(update=changes)

    def tensors(self, request: RankRequest) -> Tensors:
        """The query, and title and description of each item."""
        items = request.items
        return rank_tensors(request.query, [item.title for item in items], [item.description for item in items])

    def without_model(self, request: RankRequest) -> Tensors:
        """The share of the query's words that each title has, in [0, 1]."""
        asked = set(words(request.query))
        shares = [len(asked.intersection(words(item.title))) / max(1, len(asked)) for item in request.items]
        return {"SCORE": np.array(shares)}

    def exposed(self, request: RankRequest, outputs: Tensors | None) -> dict[str, Any]:
        """The query, and the items in the order of their scores."""
        scores: list[float] = outputs["SCORE"].tolist() if outputs else []
        ranked = enumerate(order(scores), start=1)
        shown = (
            ShownItem(item_id=request.items[index].id, position=position, score=scores[index])
            for position, index in ranked
        )
        return {"query": request.query, "items": tuple(shown)}

    def told(self, exposure: Exposure) -> dict[str, Any]:
        """The items with score and position, the first one first."""
        shown = exposure.items
        return {"items": [{"id": item.item_id, "score": item.score, "position": item.position} for item in shown]}

    def compared(self, request: RankRequest, shown: Exposure, outputs: Tensors) -> dict[str, Any]:
        """The candidate's scores and order beside those that were shown; Kendall's tau-b of the two orders."""
        ids, scores = [item.id for item in request.items], outputs["SCORE"].tolist()
        shadow = {ids[index]: (scores[index], position) for position, index in enumerate(order(scores), start=1)}
        by_id = {item.item_id: item.score for item in shown.items}
        stable = [by_id[item_id] for item_id in ids]
        items = tuple(
            ComparedItem(
                item_id=item.item_id,
                score=item.score,
                shadow_score=shadow[item.item_id][0],
                shadow_position=shadow[item.item_id][1],
            )
            for item in shown.items
        )
        return {
            "query": shown.query,
            "items": items,
            "length": len(items),
            "tau": kendall_tau(stable, scores),
            "overlap": overlap(stable, scores),
            "score_difference": mean_difference(stable, scores),
        }

    def groups(self, asked: str, length: int, *, is_frequent: bool) -> tuple[str, ...]:
        """By the length of the list, by the words of the query, and by how often it is asked."""
        count = len(asked.split())
        return (
            next((name for most, name in _LENGTHS if length <= most), "lists of more than 50 items"),
            next((name for most, name in _WORDS if count <= most), "queries of four words and more"),
            "head queries" if is_frequent else "tail queries",
        )

    def example(self, example: JudgedQuery) -> Tensors:
        """A judged query with all its items."""
        return rank_tensors(example.query, example.titles, example.descriptions)

    def answered(self, given: Sequence[float]) -> Tensors:
        """One score an item, as the package gives them."""
        return tensors.outputs(given)

    def golden(self, stored: Mapping[str, Any]) -> Golden:
        """Named tensors, or, in packages of stage versions before 5, lists under the names of then."""
        if "inputs" in stored:
            return super().golden(stored)
        inputs = rank_tensors(stored["query"], stored["titles"], stored["descriptions"])
        return self.sound(Golden(inputs, tensors.outputs(stored["scores"])))

    def order(self, expected: Tensors, seen: Tensors, atol: float) -> Ordered:
        """Pairs of items by their scores."""
        return Ordered.of(expected["SCORE"].tolist(), seen["SCORE"].tolist(), atol)

    def odd_requests(self) -> Sequence[Tensors]:
        """Empty, Chinese, full-width, invisible, marked-up and very long texts as query, title and description."""
        return [rank_tensors(text, _ODD_TEXTS, _ODD_TEXTS) for text in _ODD_TEXTS]

    def unseen(self, inputs: Tensors, number: int) -> Tensors:
        """The same items under titles and descriptions that no other request has."""
        return {**inputs, **{name: _numbered(inputs[name], number) for name in ("TITLE", "DESCRIPTION")}}


def _clean_item(item: Item, cleaning: CleaningSection) -> Item:
    rules = rules_for_catalogue(cleaning)
    if rules == (NORMALISE,):
        return item  # every package normalises what it reads
    changes = {"title": cleaned(item.title, rules), "description": cleaned(item.description, rules)}
    return item.model_copy(update=changes)


def _numbered(column: np.ndarray, number: int) -> np.ndarray:
    return texts(f"{text.decode()} {number} {place}" for place, text in enumerate(column.tolist()))
