import pytest

from fakes.fake_clock import FakeClock
from fakes.fake_server import FakeModelServer
from fakes.relevance import SERVING
from fakes.tiny_model import write_package
from recflow.artifacts.decisions import Verdict
from recflow.artifacts.plans import InfraLimits
from recflow.config.sections.serving import PackagingSection
from recflow.errors import AnswerMalformed, ServerUnavailable
from recflow.rollout.infra_check import check, ks_distance

OLD, NEW = "20110101-aaaaaaaa", "20110102-bbbbbbbb"
LIMITS = InfraLimits()


def overlap(query, items):
    asked = query.split()
    return [sum(word in item.title.split() for word in asked) / max(1, len(asked)) for item in items]


def reversed_above_five(query, items):
    scores = overlap(query, items)
    return scores[::-1] if len(scores) > 5 else scores


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def server(clock, tmp_path):
    server = FakeModelServer(clock)
    server.load("shop", OLD, write_package(tmp_path / "old", weight=0.9))
    return server


@pytest.fixture
def judge(server, clock, tmp_path):
    package = write_package(tmp_path / "new")

    def judge(limits=LIMITS, baseline=OLD, package=package):
        return check(server, "shop", NEW, package, serving=SERVING, baseline=baseline, limits=limits, clock=clock)

    return judge


def finding(decision, rule):
    return next(finding for finding in decision.findings if finding.rule == rule)


def test_a_sound_candidate_passes_and_stays_loaded(judge, server):
    decision = judge()
    assert decision.verdict is Verdict.PASS
    assert server.loaded("shop") == (OLD, NEW)


def test_a_refused_package_fails_with_the_servers_words(judge, server):
    server.refuse[NEW] = "corrupt protobuf"
    decision = judge()
    assert decision.verdict is Verdict.FAIL
    assert decision.numbers["seen"] == "corrupt protobuf"


def test_scores_beyond_the_tolerance_fail(judge, server):
    server.scores[NEW] = lambda query, items: [score + 0.06 for score in overlap(query, items)]
    assert finding(judge(), "golden_1").verdict is Verdict.FAIL


@pytest.mark.parametrize("most", [0, 5])
def test_malformed_answers_fail_the_candidate_and_are_no_outage_of_the_server(judge, server, most):
    def malformed(query, items):
        if len(items) > most:
            raise AnswerMalformed("it answered in FP64")
        return overlap(query, items)

    server.scores[NEW] = malformed
    assert finding(judge(), "golden_20").verdict is Verdict.FAIL


def test_order_turned_above_five_items_is_seen_with_twenty_items_and_not_with_five(judge, server):
    server.scores[NEW] = reversed_above_five
    assert finding(judge(), "order_20").verdict is Verdict.FAIL
    assert judge(InfraLimits(batch_sizes=(1, 5))).passed


def test_post_processing_may_change_the_scale_but_not_the_order(judge, server, tmp_path):
    code = "def process(scores):\n    return [10 * score for score in scores]\n"
    section = PackagingSection(post_processing="scale.py", post_processing_code=code)
    package = write_package(tmp_path / "scaled", section=section)
    server.scores[NEW] = lambda query, items: [10 * score for score in overlap(query, items)]
    assert judge(package=package).passed
    server.scores[NEW] = reversed_above_five
    assert not judge(package=package).passed


@pytest.mark.parametrize("answer", [[0.5], [float("nan")] * 20])
def test_too_few_scores_or_no_numbers_fail(judge, server, answer):
    server.scores[NEW] = lambda query, items: answer if len(items) == 20 else overlap(query, items)
    assert finding(judge(), "golden_20").verdict is Verdict.FAIL


def test_a_text_that_the_model_cannot_read_fails_and_is_not_taken_for_an_outage(judge, server):
    def picky(query, items):
        if any("\x00" in item.title for item in items):
            raise ServerUnavailable("an error of this request")
        return overlap(query, items)

    server.scores[NEW] = picky
    assert finding(judge(), "odd_requests").verdict is Verdict.FAIL


def test_a_model_that_dies_under_the_check_fails(judge, server):
    def dying(query, items):
        server.broken.add(NEW)
        raise ServerUnavailable("gone")

    server.scores[NEW] = dying
    assert finding(judge(), "answers").verdict is Verdict.FAIL


def test_a_server_that_is_down_is_temporary_and_no_verdict(judge, server):
    server.down = True
    with pytest.raises(ServerUnavailable):
        judge()


def test_a_slow_candidate_fails(judge, server):
    server.latency_s[NEW] = 0.25
    p95 = finding(judge(), "p95_ms")
    assert (p95.verdict, p95.value) == (Verdict.FAIL, pytest.approx(250))


def test_a_load_that_takes_too_long_fails(judge, server):
    server.load_s = 121
    assert finding(judge(), "load").verdict is Verdict.FAIL


def test_a_clock_that_is_put_back_during_the_check_gives_no_negative_time(judge, server, clock):
    def jumping(query, items):
        clock.tick(-3600)
        return overlap(query, items)

    server.scores[NEW] = jumping
    decision = judge()
    assert decision.passed
    assert {finding(decision, rule).value for rule in ("load", "p50_ms", "p95_ms")} == {0}


def test_a_candidate_that_needs_too_much_memory_fails(judge, server):
    server.version_mb[NEW] = 2000
    assert finding(judge(), "memory_mb").verdict is Verdict.FAIL


def test_memory_is_not_judged_when_the_version_was_loaded_before(judge):
    judge()
    again = judge()
    assert finding(again, "memory_mb").verdict is Verdict.NOT_EVALUATED
    assert again.passed


def test_a_shift_of_scores_is_shown_and_does_not_block(judge):
    decision = judge()
    shift = finding(decision, "score_shift")
    assert shift.value > 0
    assert not shift.blocking


@pytest.mark.parametrize("baseline", ["", "20100101-00000000"])
def test_the_first_release_and_a_silent_baseline_have_no_shift(judge, baseline):
    decision = judge(baseline=baseline)
    assert finding(decision, "score_shift").verdict is Verdict.NOT_EVALUATED
    assert decision.passed


def test_the_distance_of_two_samples_is_nought_when_equal_and_one_when_apart():
    assert ks_distance([1, 2, 3], [1, 2, 3]) == 0
    assert ks_distance([1, 2], [3, 4]) == 1
    assert ks_distance([1, 2, 3, 4], [3, 4, 5, 6]) == 0.5
