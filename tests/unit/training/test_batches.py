import numpy as np
import pytest
import torch

from recflow.training.batches import TokenisedQuery, epoch_batches
from recflow.training.encoder import embed


def query(items, tokens=5, name=1):
    ones = np.ones(items, dtype=np.float32)
    titles = tuple((name, index, *range(tokens - 2)) for index in range(items))
    return TokenisedQuery((name, name), (titles,), np.arange(items, dtype=np.float32), ones, ones * 0)


def tokens(batch):
    return sum(len(part.query) + sum(part.item_tokens) for part in batch)


QUERIES = [query(3 + number % 5, 4 + number % 7, number) for number in range(40)]


def test_no_batch_exceeds_its_token_budget():
    assert all(tokens(batch) <= 150 for batch in epoch_batches(QUERIES, 150, seed=1, epoch=0))


def test_every_item_of_every_query_is_trained_on_once_an_epoch():
    batches = epoch_batches(QUERIES, 150, seed=1, epoch=0)
    assert sum(len(part.grades) for batch in batches for part in batch) == sum(len(query.grades) for query in QUERIES)


def test_an_epoch_follows_from_seed_and_number_alone():
    def names(seed, epoch):
        return [[part.query for part in batch] for batch in epoch_batches(QUERIES, 150, seed, epoch)]

    assert names(1, 0) == names(1, 0)
    assert names(1, 0) != names(1, 1)
    assert names(1, 0) != names(2, 0)


def test_a_query_with_too_many_items_is_dealt_into_parts_that_fit():
    batches = epoch_batches([query(200, 5)], 100, seed=1, epoch=0)
    assert all(tokens(batch) <= 100 for batch in batches)
    assert sum(len(part.grades) for batch in batches for part in batch) == 200


def test_one_item_longer_than_the_budget_is_still_trained_on():
    assert len(epoch_batches([query(2, 90)], 64, seed=1, epoch=0)) == 1


class TestEmbedding:
    @pytest.fixture
    def seen(self):
        return []

    @pytest.fixture
    def encode(self, seen):
        def encode(ids, mask):
            seen.append(ids.shape)
            return (ids * mask).sum(1, keepdim=True).float()

        return encode

    def test_vectors_come_back_in_the_order_of_the_texts(self, encode):
        assert embed(encode, [(5, 5, 5), (1,), (2, 2)]).flatten().tolist() == [15, 1, 4]

    def test_a_text_is_encoded_once_however_often_it_occurs(self, encode, seen):
        embed(encode, [(1, 2), (1, 2), (3, 4), (1, 2)])
        assert sum(shape[0] for shape in seen) == 2

    def test_long_and_short_texts_are_not_padded_to_each_other(self, encode, seen):
        embed(encode, [(1,) * 400] * 3 + [(index,) for index in range(100)] + [(index,) * 400 for index in range(9)])
        assert sum(rows * width for rows, width in seen) < 2 * (10 * 400 + 100)

    def test_gradients_reach_every_occurrence(self):
        weight = torch.ones(1, requires_grad=True)
        embed(lambda ids, mask: (ids * mask).sum(1, keepdim=True) * weight, [(2,), (2,), (3,)]).sum().backward()
        assert float(weight.grad) == 7
