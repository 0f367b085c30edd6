import numpy as np
import pytest

from recflow.domain.signatures import Signature, Tensor, largest_difference, numbers, texts
from recflow.errors import AnswerMalformed, BadConfiguration

SIGNATURE = Signature(
    inputs=(
        Tensor(name="USER", datatype="BYTES", dims=(1,)),
        Tensor(name="SEEN", datatype="INT64", dims=("seen",)),
        Tensor(name="VECTORS", datatype="FP32", dims=("seen", 2)),
    ),
    outputs=(
        Tensor(name="ITEM", datatype="BYTES", dims=("found",)),
        Tensor(name="SCORE", datatype="FP32", dims=("found",)),
        Tensor(name="WEIGHT", datatype="FP32", dims=("seen",)),
    ),
)


def asked(seen=3, **changes):
    vectors = np.ones((seen, 2), dtype=np.float32)
    return {"USER": texts(iter(["u"])), "SEEN": np.arange(seen), "VECTORS": vectors} | changes


def answered(found=5, seen=3, **changes):
    items = texts(str(number) for number in range(found))
    scores, weights = np.arange(found, dtype=np.float32), np.ones(seen, dtype=np.float32)
    return {"ITEM": items, "SCORE": scores, "WEIGHT": weights} | changes


def refused(outputs):
    with pytest.raises(AnswerMalformed, match="the model answered wrongly") as refusal:
        SIGNATURE.refuse_malformed("the model", {"seen": 3}, outputs)
    return refusal.value


def test_axes_of_a_request_have_one_length_each():
    assert SIGNATURE.lengths(asked(seen=4)) == {"seen": 4}


@pytest.mark.parametrize(
    "changes",
    [
        {"SEEN": np.arange(2)},
        {"SEEN": np.arange(3, dtype=np.int32)},
        {"USER": texts(iter(["a", "b"]))},
        {"VECTORS": np.ones((3, 3), dtype=np.float32)},
        {"VECTORS": np.ones(3, dtype=np.float32)},
        {"MORE": np.ones(1)},
    ],
    ids=["another length", "another type", "two of one", "another width", "an axis too few", "one too many"],
)
def test_inputs_that_are_not_the_signatures_are_refused_with_what_was_seen(changes):
    with pytest.raises(BadConfiguration) as refusal:
        SIGNATURE.lengths(asked(**changes))
    assert refusal.value.expected == "USER BYTES [1], SEEN INT64 [seen], VECTORS FP32 [seen, 2]"
    assert refusal.value.seen != refusal.value.expected


@pytest.mark.parametrize("found", [0, 1, 7])
def test_an_axis_of_the_answer_alone_may_have_any_length(found):
    SIGNATURE.refuse_malformed("the model", {"seen": 3}, answered(found))


def test_axes_of_the_answer_agree_with_each_other_and_with_the_request():
    assert "SCORE FP32 [4]" in refused(answered(SCORE=np.ones(4, dtype=np.float32))).seen
    assert "WEIGHT FP32 [2]" in refused(answered(seen=2)).seen


def test_an_answer_that_is_no_number_is_told_by_its_tensor():
    assert refused(answered(WEIGHT=np.array([1, np.inf, np.nan], dtype=np.float32))).seen == "2 of 3 in WEIGHT are none"


def test_an_answer_without_a_tensor_or_with_another_one_is_malformed():
    assert refused({}).seen == "none"
    assert "OTHER" in refused(answered(OTHER=np.ones(1))).seen


def test_the_smallest_request_is_one_that_the_signature_takes():
    probe = SIGNATURE.probe()
    assert SIGNATURE.lengths(probe) == {"seen": 1}
    assert probe["USER"].tolist() == [b"probe"]


def test_a_request_is_cut_and_repeated_along_an_axis_and_nowhere_else():
    larger = SIGNATURE.resized(asked(seen=3), "seen", 5)
    assert (larger["SEEN"].tolist(), larger["USER"].shape, larger["VECTORS"].shape) == ([0, 1, 2, 0, 1], (1,), (5, 2))
    assert SIGNATURE.resized(asked(seen=3), "seen", 2)["SEEN"].tolist() == [0, 1]


def test_tensors_come_back_from_json_as_they_were():
    outputs = answered(ITEM=texts(iter(["红", "", "🏃", "a\n", "é"])))
    back = SIGNATURE.from_json(SIGNATURE.outputs, SIGNATURE.to_json(outputs))
    assert {name: (array.dtype, array.tolist()) for name, array in back.items()} == {
        name: (array.dtype, array.tolist()) for name, array in outputs.items()
    }


def test_a_lone_surrogate_is_replaced_and_no_failure():
    assert texts(iter(["\ud800 red"])).tolist() == [b"? red"]


def test_answers_differ_without_limit_where_texts_or_lengths_do():
    assert largest_difference(answered(), answered(SCORE=np.arange(5, dtype=np.float32) + 0.5)) == 0.5
    assert largest_difference(answered(), answered(ITEM=texts(iter("abcde")))) == float("inf")
    assert largest_difference(answered(5), answered(4)) == float("inf")


def test_the_numbers_of_an_answer_are_those_of_all_its_tensors_that_are_no_texts():
    assert numbers(answered(2, 1)) == [0.0, 1.0, 1.0]
