"""Sources with customary names, written as the tables that a recipe could say itself."""

from recflow.config.sections.sources import EVENT_COLUMNS, ITEM_COLUMNS, SourceSection, Table

CATALOGUE = Table.model_validate(
    {
        "files": ["catalogue/{date:%Y-%m-%d}.jsonl"],
        "columns": {
            "item_id": "item_id",
            **{name: {"column": name, "optional": True} for name in ITEM_COLUMNS},
        },
    }
)
# One event an object; an item's texts are in the catalogue.
_SHOP = Table.model_validate(
    {
        "files": ["events/{date:%Y-%m-%d}.jsonl"],
        "columns": {
            **{name: name for name in EVENT_COLUMNS if name not in {"title", "description", "grade", "value"}},
            "value": {"column": "value", "optional": True},
        },
    }
)


def event_tables(section: SourceSection) -> tuple[Table, ...]:
    """What gives the rows of a source that is read from tables."""
    if section.adapter == "shop":
        return (_SHOP,)
    return (_judged_pairs(section),) if section.adapter == "crowdflower" else section.events


def catalogue_table(section: SourceSection) -> Table | None:
    """What gives the texts of the items; judged pairs have their own."""
    return section.catalogue or (CATALOGUE if section.adapter in {"shop", "gateway_log"} else None)


def _judged_pairs(section: SourceSection) -> Table:
    """CrowdFlower's columns. There is no product id: products with one title are one item."""
    return Table.model_validate(
        {
            "files": ["*.csv", "ValidationFolds/*.csv"],
            "spread": {"column": "id", "days": section.days, "first_day": section.first_day},
            "columns": {
                "event_id": "id",
                "at": {"day_start": True},
                "kind": {"constant": "judgement"},
                "query": "query",
                "item_id": {"column": "product_title", "id_of_text": True},
                "title": "product_title",
                "description": "product_description",
                "grade": {"column": "median_relevance", "offset": -1},
            },
        }
    )
