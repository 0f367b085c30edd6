"""Words of titles, counted by the engine: what BM25 is made of, as a floor and to find hard negatives."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from recflow.domain import bm25
from recflow.engine import Engine, Table
from recflow.engine.expressions import log_size, real, rounded, words

# A word of more titles finds too many to be looked at for every query, and tells little.
_COMMON = 10_000


@dataclass(frozen=True)
class CountedTitles:
    """`counts`: of each title (the columns `by`) and word how often it has it; `found`: of each word its titles."""

    by: tuple[str, ...]
    counts: Table
    found: Table
    titles: int
    mean_words: float


def count_words(engine: Engine, titles: Table, by: Sequence[str]) -> CountedTitles:
    """The words of the column `title` by the rule that models carry; `by` names a title. One without words counts."""
    each = titles.select(*by, word=words(titles.title))
    counts = engine.keep(each.group_by([*by, "word"]).aggregate(count=each.count()))
    found = engine.keep(counts.group_by("word").aggregate(titles=counts.count()))
    number = engine.count(titles)
    (all_words,) = engine.fetch(counts.aggregate(words=counts["count"].sum()))["words"].to_pylist()
    return CountedTitles(tuple(by), counts, found, number, float(all_words or 0) / max(1, number))


def write_counted(engine: Engine, counted: CountedTitles, folder: Path) -> None:
    """What scores other titles by BM25 later: `words.parquet` (word, titles), `titles.json` (number, mean_words)."""
    engine.write(counted.found, folder / "words.parquet")
    told = {"number": counted.titles, "mean_words": counted.mean_words}
    (folder / "titles.json").write_text(json.dumps(told))


def bm25_scores(engine: Engine, queries: Table, counted: CountedTitles) -> Table:
    """query_id, the columns of a title, score: of the titles that have a word of the query that is not too common.

    `queries` has query_id and query, one row a query. A word that a query says twice counts twice.
    """
    lengths = counted.counts.group_by(list(counted.by)).aggregate(length=counted.counts["count"].sum())
    rare = counted.found.filter(counted.found.titles <= _COMMON)
    postings = counted.counts.inner_join(lengths, list(counted.by)).inner_join(rare, "word")
    idf = log_size(real(bm25.odds(counted.titles, postings.titles)))
    weight = bm25.weight(idf, real(postings["count"]), real(postings.length), counted.mean_words)
    postings = engine.keep(postings.select(*counted.by, "word", weight=weight))
    said = queries.select("query_id", word=words(queries["query"]))
    asked = said.group_by(["query_id", "word"]).aggregate(times=said.count())
    matched = asked.inner_join(postings, "word")
    scores = matched.group_by(["query_id", *counted.by]).aggregate(
        score=rounded((matched.times * matched.weight).sum())
    )
    return engine.keep(scores)
