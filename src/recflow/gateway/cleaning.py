"""What is asked, by the recipe's rules of free text: before a model reads it and before anything is written."""

from recflow.config.sections.cleaning import CleaningSection
from recflow.domain.free_text import NORMALISE, cleaned, rules_for_catalogue, rules_for_people
from recflow.gateway.messages import Item, RankRequest


def clean_request(request: RankRequest, cleaning: CleaningSection) -> RankRequest:
    """The request with its texts as a day's data would hold them. Ids stay: they are the shop's own."""
    people = rules_for_people(cleaning)
    changes = {
        "query": cleaned(request.query, people),
        "context": {name: cleaned(said, people) for name, said in request.context.items()},
        "items": [_clean_item(item, cleaning) for item in request.items],
    }
    return request.model_copy(update=changes)


def _clean_item(item: Item, cleaning: CleaningSection) -> Item:
    rules = rules_for_catalogue(cleaning)
    if rules == (NORMALISE,):
        return item  # every package normalises what it reads
    changes = {"title": cleaned(item.title, rules), "description": cleaned(item.description, rules)}
    return item.model_copy(update=changes)
