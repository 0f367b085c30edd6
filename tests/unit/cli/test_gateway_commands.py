import pytest

from recflow.cli.main import run
from recflow.errors import BadConfiguration


@pytest.fixture
def _home(tmp_path, monkeypatch):
    monkeypatch.setenv("RECFLOW_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("RECFLOW_RECIPES", str(tmp_path))
    monkeypatch.delenv("RECFLOW_GATEWAY_TOKEN_FILE", raising=False)


@pytest.mark.usefixtures("_home")
def test_a_gateway_does_not_start_as_an_open_door(monkeypatch, capsys):
    monkeypatch.setenv("RECFLOW_GATEWAY_URL", "http://0.0.0.0:8080")
    assert run(["gateway", "up"]) == BadConfiguration.exit_code
    assert "without asking for tokens" in capsys.readouterr().err


@pytest.mark.usefixtures("_home")
def test_a_gateway_does_not_start_with_a_recipe_it_cannot_read(tmp_path, capsys):
    (tmp_path / "ads.yaml").write_text("name: ads\nonwer: tests\n")
    assert run(["gateway", "up", "--workers", "2"]) == BadConfiguration.exit_code
    assert "onwer" in capsys.readouterr().err


@pytest.mark.usefixtures("_home")
def test_a_replay_of_a_folder_without_judgements_is_bad_data(tmp_path, capsys):
    (tmp_path / "ads.yaml").write_text("name: ads\nowner: tests\n")
    assert run(["replay", "--recipe", "ads", "--dataset", str(tmp_path)]) == 65
    assert "cannot be replayed" in capsys.readouterr().err
