"""The catalogue of a day: what each item is called and described as."""

from pathlib import Path
from typing import NamedTuple

from recflow.data.sources.crowdflower import csv_files, read_csv, title_item_id
from recflow.data.sources.jsonl import as_text, read_jsonl


class Item(NamedTuple):
    """The texts of an item, as delivered."""

    title: str
    description: str


def catalogue_files(folder: Path, label: str) -> list[Path]:
    """The files that hold the catalogue of a day.

    `catalogue/<label>.jsonl`: the newest that is not younger than the day, else the oldest. A folder without
    `catalogue/` is read as judged pairs in CSV files, whose titles are the catalogue.
    """
    snapshots = sorted((folder / "catalogue").glob("*.jsonl"))
    if snapshots:
        return [max((path for path in snapshots if path.stem <= label), default=snapshots[0])]
    return csv_files(folder)


def read_catalogue(folder: Path, label: str) -> dict[str, Item]:
    """Items by id, as they were on the day `label`; a text that was not delivered is empty."""
    items: dict[str, Item] = {}
    for path in catalogue_files(folder, label):
        if path.suffix == ".csv":
            for row in read_csv(path):
                title = row.get("product_title", "")
                items.setdefault(title_item_id(title), Item(title, row.get("product_description", "")))
        else:
            for row in read_jsonl(path):
                item, title, description = (
                    as_text(row.get(name)) or "" for name in ("item_id", "title", "description")
                )
                items[item] = Item(title, description)
    return items
