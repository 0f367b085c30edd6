"""Starting from the serving model: what it knows of items, countries and order is taken over by name."""

import logging

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import Tensor

from recflow.tasks.recommend.catalogue import Catalogue
from recflow.tasks.recommend.checkpoint import Checkpoint
from recflow.tasks.recommend.encoder import Recommender, Size
from recflow.tasks.recommend.neighbours import Neighbours

log = logging.getLogger(__name__)
_BY_ITEM, _BY_COUNTRY = "items.ids.weight", "encoder.circumstances.3.weight"


def start_from(
    model: Recommender, size: Size, catalogue: Catalogue, countries: tuple[str, ...], parent: Checkpoint
) -> np.ndarray | None:
    """Give a new model the weights of `parent`, and say which items it knew; None, with a log line, for another size.

    Items and countries that the parent does not know keep the weights that they have.
    """
    if parent.size.shape != size.shape:
        log.warning("training starts anew: the serving model has the size %s, not %s", parent.size.shape, size.shape)
        return None
    items = _places(catalogue.ids, parent.ids)
    rows = {_BY_ITEM: (items, 0), _BY_COUNTRY: (_places(pa.array(countries, pa.string()), parent.countries), 1)}
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            known = torch.from_numpy(parent.weights[name]) if name in parent.weights else parameter
            if name in rows:
                _copy_rows(parameter, known, *rows[name])
            else:
                parameter.copy_(known)
    return items >= 0


def place_new_items(model: Recommender, known: np.ndarray, neighbours: Neighbours) -> None:
    """Let each item that is not `known` begin amid the known ones that it is tied to; one without any stays."""
    new = np.flatnonzero(~known)
    items = torch.from_numpy(neighbours.items[new].astype(np.int64))
    ties = torch.from_numpy(neighbours.weights[new] * known[neighbours.items[new]])
    total = ties.sum(1, keepdim=True)
    with torch.no_grad():
        vectors = model.items.ids.weight
        mean = (vectors[items] * ties[..., None]).sum(1) / total.clamp(min=torch.finfo().tiny)
        vectors[new] = torch.where(total > 0, mean, vectors[new])


def _places(names: pa.Array, known: tuple[str, ...]) -> np.ndarray:
    """The place of each name among the known ones; -1 for the others."""
    found = pc.fill_null(pc.index_in(names, value_set=pa.array(known, pa.string())), -1)
    return np.asarray(found.to_numpy(), dtype=np.int64)


def _copy_rows(parameter: Tensor, known: Tensor, places: np.ndarray, first: int) -> None:
    """Copy rows by places; `first` is the row of the first place, those before it belong to both."""
    shared = np.flatnonzero(places >= 0)
    parameter[:first] = known[:first]
    parameter[shared + first] = known[places[shared] + first]
