"""What every ModelRegistry promises. Subclasses give a fixture `registry`."""

import pytest

from recflow.artifacts.refs import Ref, RefKind
from recflow.errors import PermanentError


def package(number: int) -> Ref:
    return Ref(kind=RefKind.PACKAGE, uri=f"file:///store/search/packages/{number}", digest=f"{number:064d}")


class ModelRegistrySuite:
    def test_a_run_is_recorded_once_however_often_it_is_logged(self, registry):
        def log():
            return registry.log_run("search", "night-1", params={"rate": 2e-5}, metrics={"ndcg": 0.8}, tags={"k": "v"})

        first = log()
        assert log() == first
        assert registry.log_run("search", "night-2", params={}, metrics={}, tags={}) != first

    def test_runs_of_two_lines_do_not_meet(self, registry):
        one = registry.log_run("search", "night", params={}, metrics={}, tags={})
        assert registry.log_run("ads", "night", params={}, metrics={}, tags={}) != one

    def test_a_curve_may_be_recorded_again(self, registry):
        run_id = registry.log_run("search", "night", params={}, metrics={}, tags={})
        registry.log_curve(run_id, "loss", [(1, 0.7), (2, 0.5)])
        registry.log_curve(run_id, "loss", [(1, 0.7), (2, 0.5)])

    def test_an_alias_follows_its_versions(self, registry):
        for number in (1, 2):
            registry.register("search", f"2011010{number}-abc", package(number))
        registry.set_alias("search", "champion", "20110101-abc")
        registry.set_alias("search", "challenger", "20110102-abc")
        registry.set_alias("search", "champion", "20110102-abc")
        assert registry.aliases("search") == {"champion": "20110102-abc", "challenger": "20110102-abc"}

    def test_registering_twice_is_fine(self, registry):
        for _ in range(2):
            registry.register("search", "20110101-abc", package(1))
        registry.set_alias("search", "champion", "20110101-abc")
        assert registry.aliases("search") == {"champion": "20110101-abc"}

    def test_an_alias_of_an_unknown_version_is_refused(self, registry):
        with pytest.raises(PermanentError, match="unknown"):
            registry.set_alias("search", "champion", "unknown")

    def test_a_line_without_versions_has_no_aliases(self, registry):
        assert registry.aliases("nothing") == {}
