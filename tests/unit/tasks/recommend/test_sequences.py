import numpy as np

from recflow.tasks.recommend.histories import Histories
from recflow.tasks.recommend.sequences import batch, cut, shuffled


def histories(*lengths):
    acts = sum(lengths)
    whole = np.arange(acts)
    return Histories(np.cumsum([0, *lengths]), whole, whole * 3600.0, whole * 0, whole + 1.0, whole >= 0)


def test_every_act_after_a_users_first_is_predicted_once():
    starts, lengths = cut(histories(1, 7, 2, 0, 10), 3)
    predicted = [act for start, length in zip(starts, lengths, strict=True) for act in range(start + 1, start + length)]
    assert sorted(predicted) == [2, 3, 4, 5, 6, 7, 9, *range(11, 20)]
    assert lengths.max() == 4


def test_batches_hold_each_sequence_once_within_their_acts():
    lengths = np.random.default_rng(0).integers(1, 30, 200)
    batches = shuffled(lengths, 100, np.random.default_rng(1))
    assert sorted(np.concatenate(batches).tolist()) == list(range(200))
    assert max(len(places) * lengths[places].max() for places in batches) <= 100


def test_a_sequence_that_is_longer_than_a_batch_is_one():
    assert [places.tolist() for places in shuffled(np.array([50]), 10, np.random.default_rng(0))] == [[0]]


def test_a_batch_tells_each_act_with_the_one_after_it_and_what_is_padding():
    found = batch(histories(4, 3), np.array([0, 4]), np.array([3, 2]))
    assert found.items[found.real].tolist() == [0, 1, 2, 4, 5]
    assert found.following[found.real].tolist() == [1, 2, 3, 5, 6]
    assert found.weights[found.real].tolist() == [2, 3, 4, 6, 7]
    assert found.real.tolist() == [[True] * 3, [True, True, False]]


def test_an_act_is_told_the_hour_of_the_one_after_it():
    found = batch(histories(4), np.array([1]), np.array([2]))
    assert found.context[0, :, 1].tolist() == [3, 4]  # hour + 1
