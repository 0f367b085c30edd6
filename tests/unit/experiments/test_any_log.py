"""Whatever stands in an event log, a look gives evidence in which nobody did more than he was shown."""

from datetime import timedelta

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes.fake_event_log import FakeEventLog
from fakes.made_evidence import planned
from fakes.shoppers import EXPERIMENT, START, acted, shown
from recflow.artifacts.events import Arm, Fallback, ShownItem
from recflow.config.sections.gate import Guardrail, OnlineSlice
from recflow.experiments.evidence import Design
from recflow.experiments.gate import judge_online
from recflow.experiments.readers import read_evidence

USERS, ITEMS = ("u", "v", "w", "u\0", "\x1f", "ü", ""), ("i1", "i2", "a\x1fb", "\0")
# Seconds from the start: long before it, around it, at the edges of a window and of a day, after the look.
TIMES = st.sampled_from([-1e9, -86_400.0, -121.0, -60.0, 0.0, 0.000001, 59.999999, 60.0, 599.9, 600.0, 3599.0, 4e9])
VALUES = st.sampled_from([0.0, 5e-324, 1.0, 1e12, 1e308])
SLICES = tuple(OnlineSlice(name=name, items=2) for name in ("head", "tail", "long_lists", "returning_users"))
RULES = tuple(Guardrail(metric=name) for name in ("p95_ms", "fallback_rate", "revenue_per_user"))
DESIGN = Design("shop_search", EXPERIMENT, START, timedelta(minutes=10), look_back=timedelta(days=1), slices=SLICES)
SEARCHES = st.lists(
    st.builds(
        shown,
        st.sampled_from(USERS),
        st.sampled_from(Arm),
        TIMES,
        experiment=st.sampled_from([EXPERIMENT, "", "other:judging"]),
        fallback=st.sampled_from(Fallback),
        marked=st.sampled_from(["", "", "bot"]),
        query=st.sampled_from(["shoe", "", "\0", "x" * 500]),
        latency_ms=st.sampled_from([0.0, 5e-324, 10.0, 1e9]),
        items=st.lists(st.sampled_from(ITEMS), unique=True).map(
            lambda names: tuple(ShownItem(item_id=name, position=at, score=0) for at, name in enumerate(names, 1))
        ),
    ),
    max_size=12,
)


@st.composite
def logs(draw):
    """Searches, and acts on them or on none: by anybody, of any time and worth, told again and again."""
    searches = draw(SEARCHES)
    stranger = shown("v", Arm.TREATMENT, 0)
    acts = draw(
        st.lists(
            st.builds(
                acted,
                st.sampled_from([*searches, stranger]),
                TIMES,
                st.sampled_from(["click", "purchase", "unheard_of"]),
                item_id=st.sampled_from(ITEMS),
                user_key=st.sampled_from(USERS),
                visitor_key=st.sampled_from(USERS),
                outcome_id=st.sampled_from(["1", "2", "3"]),
                value=VALUES,
            ),
            max_size=30,
        )
    )
    return [*searches, *acts, *acts]


@settings(max_examples=60, deadline=None)
@given(records=logs())
def test_any_log_gives_evidence_that_is_bounded_by_what_was_shown(records):
    evidence = read_evidence(FakeEventLog(records), DESIGN, START + timedelta(hours=1))
    searches = [record for record in records if hasattr(record, "items")]
    assert evidence.users <= len({search.user_key for search in searches})
    assert evidence.totals["searches"].sum() <= len(searches)
    assert evidence.totals["count:click"].sum() <= sum(len(search.items) for search in searches)
    assert evidence.matched + sum(evidence.unmatched.values()) <= len(records) - len(searches)
    for totals in (evidence.totals, evidence.before, *evidence.slices.values()):
        assert all(np.isfinite(values).all() and (values >= 0).all() for values in totals.values())
    assert judge_online(planned(guardrails=RULES, slices=SLICES, min_events_per_arm=1), evidence).reasons is not None
