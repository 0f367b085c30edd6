"""One gateway process from the settings."""

import stat
import warnings
from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from recflow.config.recipe import Recipe
from recflow.config.recipe_loader import sound_recipes
from recflow.config.settings import Settings
from recflow.domain.request_ids import LONGEST_SECRET, SigningKeys
from recflow.errors import BadConfiguration
from recflow.wiring.services import Services

_UNSIGNED = "unsigned"
_SHORTEST_KEY = 32


def build_gateway(services: Services) -> Any:
    """The ASGI application (FastAPI) that serves every model line of `RECFLOW_RECIPES`."""
    from recflow.gateway.app import create_app
    from recflow.gateway.service import Line, Options, Seams

    settings = services.settings
    recipes = gateway_recipes(settings)
    unserved = _unserved(services, recipes)
    lines = [Line(each, services.task(each.task).serving) for each in recipes if each.name not in unserved]
    seams = Seams(services.scorer, services.router, services.events, services.clock)
    options = Options(
        folder=settings.home / "gateway",
        tokens=read_tokens(settings.gateway_token_file),
        keys=read_keys(settings.gateway_keys_file),
        poll_s=settings.gateway_poll_ms / 1000,
        lease_s=settings.gateway_lease_s,
        unserved=unserved,
    )
    return create_app(lines, seams, options)


def _unserved(services: Services, recipes: Sequence[Recipe]) -> dict[str, str]:
    """Lines whose task cannot be loaded, and why; each is warned of, and the others are served."""
    found = {}
    for recipe in recipes:
        try:
            services.task(recipe.task)
        except BadConfiguration as error:
            found[recipe.name] = str(error)
            warnings.warn(f"{recipe.name} is not served: {error}", stacklevel=2)
    return found


def gateway_recipes(settings: Settings) -> list[Recipe]:
    """The model lines among the sound recipes of `RECFLOW_RECIPES`; BadConfiguration when there is no recipe at all."""
    recipes = sound_recipes(settings.recipes)
    if not recipes:
        raise BadConfiguration(f"{settings.recipes} has no recipe", expected="at least one <name>.yaml", seen="none")
    return [recipe for recipe in recipes if recipe.has_model]


def gateway_address(settings: Settings) -> tuple[str, int]:
    """Host and port to listen on; BadConfiguration for a door that is open to others and asks for no token."""
    url = urlsplit(settings.gateway_url)
    host, port = url.hostname or "", url.port or 80
    if settings.gateway_token_file is None and not _is_loopback(host):
        raise BadConfiguration(
            f"the gateway would listen on {host} without asking for tokens",
            expected="RECFLOW_GATEWAY_TOKEN_FILE, or a loopback address",
            seen=f"RECFLOW_GATEWAY_URL={settings.gateway_url}",
        )
    return host, port


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def read_tokens(path: Path | None) -> tuple[str, ...]:
    """The tokens of a file, one a line; none without a file. A file without tokens is a mistake, not an open door."""
    if path is None:
        return ()
    tokens = _lines("RECFLOW_GATEWAY_TOKEN_FILE", path)
    if not tokens:
        raise BadConfiguration("RECFLOW_GATEWAY_TOKEN_FILE is empty", expected="a token a line", seen="none")
    return tokens


def read_keys(path: Path | None) -> SigningKeys:
    """The signing keys of a file, one a line, newest first; none without a file.

    BadConfiguration for a file that everybody on this host can read or change, and for one without a key, or with one
    that is too short, too long or a sentence: what is easily had or guessed signs nothing.
    """
    if path is None:
        return SigningKeys()
    lines = _lines("RECFLOW_GATEWAY_KEYS_FILE", path)
    if (mode := stat.S_IMODE(path.stat().st_mode)) & stat.S_IRWXO:
        raise _unfit_keys("only its owner and group may open it", f"{mode:04o}", f"chmod 600 {path}")
    keys = [line for line in lines if line != _UNSIGNED]
    make_one = f"put what `openssl rand -hex 32` prints on the first line of {path}"
    if not keys:
        raise _unfit_keys("a key a line", "no key", make_one)
    if not all(map(_is_fit, keys)):
        lengths = ", ".join(f"{len(key)} characters" + " with spaces" * (len(key.split()) > 1) for key in keys)
        raise _unfit_keys(f"keys of {_SHORTEST_KEY} to {LONGEST_SECRET} characters, no spaces", lengths, make_one)
    return SigningKeys(tuple(key.encode() for key in keys), accepts_unsigned=_UNSIGNED in lines)


def _is_fit(key: str) -> bool:
    return len(key) >= _SHORTEST_KEY and len(key.encode()) <= LONGEST_SECRET and len(key.split()) == 1


def _unfit_keys(expected: str, seen: str, action: str) -> BadConfiguration:
    return BadConfiguration(
        "RECFLOW_GATEWAY_KEYS_FILE cannot sign request ids", expected=expected, seen=seen, action=action
    )


def _lines(setting: str, path: Path) -> tuple[str, ...]:
    try:
        return tuple(filter(None, map(str.strip, path.read_text(encoding="utf-8").splitlines())))
    except (OSError, UnicodeDecodeError) as error:
        raise BadConfiguration(f"{setting} cannot be read", expected="a file of text", seen=str(error)) from error
