import pytest

from recflow.config.settings import Settings
from recflow.errors import BadConfiguration
from recflow.wiring.gateway import build_gateway, gateway_address, gateway_recipes, read_keys, read_tokens
from recflow.wiring.services import Services


def test_tokens_stand_one_a_line(tmp_path):
    path = tmp_path / "tokens"
    path.write_text("first\n\n second \n")
    assert read_tokens(path) == ("first", "second")
    assert read_tokens(None) == ()


@pytest.mark.parametrize("content", [None, b"", b"\n \n", b"\xff\xfe"])
def test_a_token_file_without_tokens_is_no_open_door(tmp_path, content):
    path = tmp_path / "tokens"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BadConfiguration):
        read_tokens(path)


def keys_file(folder, content, mode=0o600):
    path = folder / "keys"
    path.write_bytes(content)
    path.chmod(mode)
    return path


def test_keys_stand_one_a_line_newest_first(tmp_path):
    keys = read_keys(keys_file(tmp_path, b"n" * 32 + b"\n\n " + b"o" * 40 + b"\n"))
    assert (keys.secrets, keys.accepts_unsigned) == ((b"n" * 32, b"o" * 40), False)
    assert read_keys(None).secrets == ()


def test_a_line_says_that_ids_without_a_signature_are_still_accepted(tmp_path):
    keys = read_keys(keys_file(tmp_path, b"n" * 32 + b"\nunsigned\n"))
    assert (keys.secrets, keys.accepts_unsigned) == ((b"n" * 32,), True)


@pytest.mark.parametrize(
    ("content", "mode", "seen"),
    [
        (b"", 0o600, "no key"),
        (b"\n \n", 0o600, "no key"),
        (b"unsigned\n", 0o600, "no key"),
        (b"k" * 31, 0o600, "31 characters"),
        (b"k" * 65, 0o600, "65 characters"),
        (b"k" * 32 + b"\nshort\n", 0o600, "32 characters, 5 characters"),
        (b"# the key of november, made by operations\n", 0o600, "with spaces"),
        (b"\xff\xfe", 0o600, "decode"),
        (b"k" * 32, 0o604, "0604"),
        (b"k" * 32, 0o602, "0602"),
    ],
)
def test_keys_that_are_easily_had_or_guessed_sign_nothing_and_are_not_repeated(tmp_path, content, mode, seen):
    with pytest.raises(BadConfiguration, match=seen) as refused:
        read_keys(keys_file(tmp_path, content, mode))
    assert "kkk" not in refused.value.message


def test_keys_that_the_group_may_read_are_fine_and_missing_ones_are_refused(tmp_path):
    assert read_keys(keys_file(tmp_path, b"k" * 32, 0o640)).secrets
    with pytest.raises(BadConfiguration, match="RECFLOW_GATEWAY_KEYS_FILE"):
        read_keys(tmp_path / "missing")


@pytest.mark.parametrize("url", ["http://127.0.0.1:8080", "http://localhost:8080", "http://[::1]:8080"])
def test_without_tokens_the_gateway_listens_to_this_host_only(url):
    assert gateway_address(Settings(gateway_url=url))[1] == 8080


@pytest.mark.parametrize("url", ["http://0.0.0.0:8080", "http://10.0.0.5", "http://shop.example:80", "nonsense"])
def test_without_tokens_it_refuses_to_listen_to_others(url, tmp_path):
    with pytest.raises(BadConfiguration):
        gateway_address(Settings(gateway_url=url))
    tokens = tmp_path / "tokens"
    if url != "nonsense":
        assert gateway_address(Settings(gateway_url=url, gateway_token_file=tokens))


def test_a_gateway_serves_every_recipe_asks_for_its_tokens_and_signs_by_its_keys(tmp_path):
    (tmp_path / "ads.yaml").write_text("name: ads\nowner: tests\n")
    (tmp_path / "tokens").write_text("secret")
    files = {"gateway_token_file": tmp_path / "tokens", "gateway_keys_file": keys_file(tmp_path, b"k" * 32)}
    settings = Settings(home=tmp_path / "home", recipes=tmp_path, **files)
    gateway = build_gateway(Services(settings)).state.gateway
    assert list(gateway.lines) == ["ads"]
    assert (gateway._options.tokens, gateway._options.keys.secrets) == (("secret",), (b"k" * 32,))


def test_a_broken_recipe_is_said_and_does_not_stop_the_others(tmp_path):
    (tmp_path / "ads.yaml").write_text("name: ads\nowner: tests\n")
    (tmp_path / "broken.yaml").write_text("name: broken\nonwer: typo\n")
    with pytest.warns(UserWarning, match=r"left out: recipe broken\.yaml.*onwer"):
        recipes = gateway_recipes(Settings(home=tmp_path, recipes=tmp_path))
    assert [recipe.name for recipe in recipes] == ["ads"]


def test_a_gateway_starts_and_serves_nothing_where_all_lines_are_of_data_alone(tmp_path):
    (tmp_path / "retail.yaml").write_text("name: retail\nowner: tests\ntask: none\n")
    gateway = build_gateway(Services(Settings(home=tmp_path, recipes=tmp_path))).state.gateway
    assert list(gateway.lines) == []


def test_when_every_recipe_is_broken_a_gateway_does_not_start(tmp_path):
    (tmp_path / "broken.yaml").write_text("name: broken\nonwer: typo\n")
    with pytest.raises(BadConfiguration, match="onwer"):
        gateway_recipes(Settings(home=tmp_path, recipes=tmp_path))


def test_without_recipes_there_is_nothing_to_serve(tmp_path):
    with pytest.raises(BadConfiguration):
        build_gateway(Services(Settings(home=tmp_path, recipes=tmp_path)))
