from collections import Counter

import pytest
from scipy import stats

from recflow.artifacts.events import Arm
from recflow.domain.assignment import BUCKETS, bucket
from recflow.domain.routes import ArmRange, RoutingTable

USERS = [f"user-{number}" for number in range(20_000)]


@pytest.mark.parametrize("salt", ["release-1", "release-2", ""])
@pytest.mark.parametrize("form", ["user-{}", "{}", "{:032x}"])
def test_users_of_every_form_fall_evenly_into_buckets(salt, form):
    counts = Counter(bucket(salt, form.format(number)) // 100 for number in range(20_000))
    assert stats.chisquare([counts[cell] for cell in range(100)]).pvalue > 0.001


def test_a_user_stays_in_the_bucket_for_the_whole_release():
    assert {bucket("release-1", "ada") for _ in range(10)} == {bucket("release-1", "ada")}


def test_a_bucket_never_changes_between_versions_of_recflow():
    assert [bucket("r1", "ada"), bucket("r1", "二"), bucket("", "")] == [5297, 6939, 3192]


def test_two_releases_assign_independently():
    both = Counter((bucket("release-1", user) // 2500, bucket("release-2", user) // 2500) for user in USERS)
    table = [[both[row, column] for column in range(4)] for row in range(4)]
    assert stats.chi2_contingency(table).pvalue > 0.001


def test_salt_and_user_cannot_run_into_one_another():
    assert bucket("r1", "2x") != bucket("r12", "x")


def test_every_bucket_is_in_range():
    assert all(0 <= bucket("release-1", user) < BUCKETS for user in USERS)


def test_the_table_gives_equal_arms_to_treatment_and_control():
    table = RoutingTable(
        recipe="shop",
        epoch=3,
        stable="old",
        salt="release-1",
        arms=(
            ArmRange(arm=Arm.TREATMENT, version="new", start=0, end=2000),
            ArmRange(arm=Arm.CONTROL, version="old", start=8000, end=10_000),
        ),
    )
    arms = Counter(table.assign(user).arm for user in USERS)
    assert (
        stats.chisquare([arms[Arm.TREATMENT], arms[Arm.CONTROL], arms[Arm.STABLE]], [4000, 4000, 12_000]).pvalue > 0.001
    )
    assert {table.assign(user).version for user in USERS if table.assign(user).arm is not Arm.TREATMENT} == {"old"}
