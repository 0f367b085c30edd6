"""Starting from the serving model: what it knows of items, countries and order is taken over by name."""

import logging

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch

from recflow.tasks.recommend.catalogue import Catalogue
from recflow.tasks.recommend.checkpoint import Checkpoint
from recflow.tasks.recommend.encoder import Recommender, Size

log = logging.getLogger(__name__)
_BY_ITEM, _BY_COUNTRY = "items.ids.weight", "encoder.circumstances.3.weight"


def start_from(
    model: Recommender, size: Size, catalogue: Catalogue, countries: tuple[str, ...], parent: Checkpoint
) -> bool:
    """Give a new model the weights of `parent`; False, with a log line, for one of another size.

    Items and countries that the parent does not know keep the weights that they have.
    """
    if parent.size.shape != size.shape:
        log.warning(
            "training starts anew: the serving model has the size %s, the recipe asks for %s",
            parent.size.shape,
            size.shape,
        )
        return False
    rows = {
        _BY_ITEM: (catalogue.ids, parent.ids, 0),
        _BY_COUNTRY: (pa.array(countries, pa.string()), parent.countries, 1),
    }
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            known = torch.from_numpy(parent.weights[name]) if name in parent.weights else parameter
            if name in rows:
                _copy_rows(parameter, known, *rows[name])
            else:
                parameter.copy_(known)
    return True


def _copy_rows(
    parameter: torch.Tensor, known: torch.Tensor, names: pa.Array, known_names: tuple[str, ...], first: int
) -> None:
    """Rows of the names that both have; `first` is the row of the first name, those before it belong to both."""
    place = pc.fill_null(pc.index_in(names, value_set=pa.array(known_names, pa.string())), -1).to_numpy()
    shared = np.flatnonzero(place >= 0)
    parameter[:first] = known[:first]
    parameter[shared + first] = known[place[shared] + first]
