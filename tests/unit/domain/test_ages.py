from datetime import UTC, datetime, timedelta

import pytest

from recflow.domain.ages import age_s

NOW = datetime(2011, 1, 5, 2, tzinfo=UTC)


@pytest.mark.parametrize(("before_s", "age"), [(90, 90.0), (0, 0.0), (-3600, 0.0), (0.25, 0.25)])
def test_an_age_is_never_negative(before_s, age):
    assert age_s(NOW - timedelta(seconds=before_s), NOW) == age
