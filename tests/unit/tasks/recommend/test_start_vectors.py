import numpy as np
import pytest
import torch

from recflow.tasks.recommend.histories import Histories
from recflow.tasks.recommend.start_vectors import start_vectors


@pytest.fixture
def found():
    """Vectors of seven items: users turn to 0, 1 and 2, or to 3, 4 and 5; nobody to 6."""
    items = np.array([0, 1, 2, 3, 4, 5] * 4)
    nothing = np.zeros(len(items))
    torch.manual_seed(0)
    return start_vectors(
        Histories(np.arange(0, 25, 3), items, nothing, nothing.astype(int), nothing + 1, nothing == 0), 7, 2
    )


def test_tied_items_begin_alike_and_others_apart(found):
    likeness = found @ found.T
    assert likeness[0, 1] > 0.9 * likeness[0, 0]
    assert abs(likeness[0, 3]) < 0.1 * likeness[0, 0]


def test_all_have_one_length_but_items_that_nobody_met(found):
    assert found.norm(dim=1).tolist() == pytest.approx([6.4 / 2**0.5] * 6 + [0])


def test_a_width_beyond_the_catalogue_is_filled_with_zeros():
    items = np.array([0, 1])
    nothing = np.zeros(2)
    histories = Histories(np.array([0, 2]), items, nothing, nothing.astype(int), nothing + 1, nothing == 0)
    assert start_vectors(histories, 2, 8)[:, 2:].any().item() is False
