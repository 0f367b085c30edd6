import pytest

from recflow.cli.main import run
from recflow.errors import BadConfiguration


@pytest.fixture
def _home(tmp_path, monkeypatch):
    monkeypatch.setenv("RECFLOW_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("RECFLOW_RECIPES", str(tmp_path))
    monkeypatch.delenv("RECFLOW_GATEWAY_TOKEN_FILE", raising=False)
    monkeypatch.delenv("RECFLOW_GATEWAY_KEYS_FILE", raising=False)


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
def test_a_gateway_says_at_its_start_that_request_ids_are_not_signed(tmp_path, monkeypatch, capsys):
    (tmp_path / "ads.yaml").write_text("name: ads\nowner: tests\n")
    monkeypatch.setattr("uvicorn.run", lambda *_, **__: None)
    assert run(["gateway", "up"]) == 0
    assert "request ids are not signed" in capsys.readouterr().out


@pytest.mark.usefixtures("_home")
def test_a_gateway_does_not_start_with_keys_that_everybody_can_read(tmp_path, monkeypatch, capsys):
    (tmp_path / "keys").write_text("k" * 32)
    (tmp_path / "keys").chmod(0o644)
    monkeypatch.setenv("RECFLOW_GATEWAY_KEYS_FILE", str(tmp_path / "keys"))
    assert run(["gateway", "up"]) == BadConfiguration.exit_code
    assert "chmod 600" in capsys.readouterr().err


@pytest.mark.usefixtures("_home")
def test_a_replay_of_a_folder_without_judgements_is_bad_data(tmp_path, capsys):
    (tmp_path / "ads.yaml").write_text("name: ads\nowner: tests\n")
    assert run(["replay", "--recipe", "ads", "--dataset", str(tmp_path)]) == 65
    assert "cannot be replayed" in capsys.readouterr().err
