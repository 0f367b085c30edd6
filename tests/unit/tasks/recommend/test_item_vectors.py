import numpy as np
import pytest
import torch

from recflow.tasks.recommend.encoder import ItemVectors

TEXTS = ("red shoe", "red hat", "", "shoe")
MET = np.array([True, True, True, False])
WANTED = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5], [0.0, 0.0]])


@pytest.fixture
def items():
    found = ItemVectors(TEXTS, MET, 2, id_dropout=0.5)
    found.begin_with(WANTED)
    return found.eval()


def test_items_that_were_met_begin_as_they_are_told(items):
    assert torch.allclose(items(torch.tensor([0, 1, 2])), WANTED[:3], atol=1e-6)


def test_an_item_that_nobody_met_begins_as_those_that_share_its_words(items):
    assert torch.allclose(items(torch.tensor([3])), WANTED[:1], atol=1e-6)


def test_in_training_some_items_are_known_by_their_text_alone(items):
    torch.manual_seed(0)
    of_text = WANTED[:2].mean(0) / 3 + WANTED[0] * 2 / 3  # "red" is both items', "shoe" and "red shoe" the first one's
    seen = items.train()(torch.zeros(50, dtype=torch.long))
    alone = (seen - of_text).norm(dim=1) < 1e-5
    assert 10 < int(alone.sum()) < 40


def test_codes_of_any_shape_are_read(items):
    assert items(torch.tensor([[0, 1], [2, 3]])).shape == (2, 2, 2)
