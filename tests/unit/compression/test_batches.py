import random

import pytest

from recflow.compression.scoring import batches

LENGTHS = [random.Random(1).randrange(3, 512) for _ in range(400)]


@pytest.mark.parametrize("alone", [False, True])
def test_every_text_is_in_one_batch(alone):
    indices = [index for batch in batches(LENGTHS, alone=alone) for index in batch]
    assert sorted(indices) == list(range(len(LENGTHS)))


def test_no_text_is_over_ten_percent_longer_than_the_shortest_of_its_batch():
    for batch in batches(LENGTHS, alone=False):
        lengths = [LENGTHS[index] for index in batch]
        assert max(lengths) <= 1.1 * min(lengths)


def test_a_batch_is_as_large_as_its_tokens_allow():
    assert list(map(len, batches([512] * 6, alone=False))) == [4, 2]


def test_texts_that_must_be_alone_are():
    assert batches([4, 4, 3], alone=True) == [[2], [0], [1]]


def test_no_texts_make_no_batch():
    assert batches([], alone=False) == []
