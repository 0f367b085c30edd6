import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recflow.domain.scaling import Scale, Scaling

NUMBERS = st.floats(-1e9, 1e9)


def test_training_values_get_mean_zero_and_deviation_one():
    scale = Scale.of([2.0, 4.0, None, 6.0, math.nan])
    scaled = [scale.scaled(value) for value in (2.0, 4.0, 6.0)]
    assert sum(scaled) == pytest.approx(0)
    assert sum(value**2 for value in scaled) / 3 == pytest.approx(1)


@pytest.mark.parametrize("value", [None, math.nan, math.inf])
def test_what_is_missing_becomes_the_mean(value):
    assert Scale(5.0, 2.0).scaled(value) == 0.0


def test_a_feature_that_never_varied_stays_in_its_own_unit():
    assert Scale.of([7.0, 7.0]).scaled(9.0) == 2.0


def test_later_rows_change_nothing_of_what_training_told():
    scaling = Scaling.fit({"price": [1.0, 3.0]})
    assert scaling.scaled({"price": 1000.0}) == {"price": 998.0}
    assert scaling == Scaling.fit({"price": [1.0, 3.0]})


def test_features_come_in_the_models_order_and_unknown_ones_are_left_out():
    scaling = Scaling.fit({"price": [1.0, 3.0], "age": [0.0, 2.0]})
    assert list(scaling.scaled({"age": 2.0, "colour": 1.0}).items()) == [("price", 0.0), ("age", 1.0)]


@given(st.dictionaries(st.text(), st.lists(NUMBERS, min_size=1)), NUMBERS)
def test_what_is_read_back_scales_to_the_same_bits(columns, value):
    scaling = Scaling.fit(columns)
    read = Scaling.from_json(scaling.to_json())
    assert read.scaled(dict.fromkeys(columns, value)) == scaling.scaled(dict.fromkeys(columns, value))
    assert list(read.scales) == list(columns)


@pytest.mark.parametrize(
    "text", ["[]", "{", '{"price": [1]}', '{"price": [1, NaN]}', '{"price": [1, -1]}', '{"price": 3}']
)
def test_anything_else_is_refused(text):
    with pytest.raises(ValueError):
        Scaling.from_json(text)


def test_a_column_without_values_is_named():
    with pytest.raises(ValueError, match="price"):
        Scaling.fit({"price": [None]})
