"""How often shoppers chose an item: acts on it, and judgements that call it relevant, of queries that train."""

from collections.abc import Sequence

from recflow.domain.ranking import RELEVANT_GRADE
from recflow.engine import Table


def count_acts(events: Table, kinds: Sequence[str]) -> Table:
    """item_id, acts; an act that is reported again counts once. Items without any have no row."""
    chosen = events.kind.isin(list(kinds)) | ((events.kind == "judgement") & (events.grade >= RELEVANT_GRADE))
    once = events.filter(chosen).group_by(["item_id", "kind", "request_id", "user_key", "query_id", "day"]).aggregate()
    return once.group_by("item_id").aggregate(acts=once.count())
