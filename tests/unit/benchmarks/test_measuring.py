import pytest

import benchmarks.results
from benchmarks.__main__ import main
from recflow.errors import BadConfiguration

FIGURE = {"name": "made_up", "value": 3.5, "unit": "x", "against": "nothing", "target": 3.0, "better": "higher"}


@pytest.fixture
def kept(monkeypatch, tmp_path):
    """A benchmark that takes no time; the folder of what is kept of it."""
    monkeypatch.setattr("benchmarks.retrain.measure", lambda _: FIGURE)
    monkeypatch.setattr(benchmarks.results, "FOLDER", tmp_path / "results")
    monkeypatch.setattr(benchmarks.results, "PAGE", tmp_path / "benchmarks.md")
    return tmp_path


def test_a_quick_run_shows_its_figures_and_keeps_none(kept, capsys):
    main(["retrain"], quick=True)
    assert "made_up" in capsys.readouterr().out
    assert list(kept.iterdir()) == []


def test_a_whole_run_keeps_and_renders_its_figures(kept):
    main(["retrain"], quick=False)
    assert "made_up" in (kept / "benchmarks.md").read_text()
    assert (kept / "results" / "made_up.json").exists()


def test_training_speed_without_the_data_says_which_variable_names_it(monkeypatch, tmp_path):
    from benchmarks.training_speed import measure

    monkeypatch.setenv("RECFLOW_DATA", str(tmp_path))
    with pytest.raises(BadConfiguration, match="RECFLOW_DATA"):
        measure(quick=True)
