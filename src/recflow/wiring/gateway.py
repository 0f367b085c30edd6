"""One gateway process from the settings."""

from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from recflow.config.recipe import Recipe
from recflow.config.recipe_loader import sound_recipes
from recflow.config.settings import Settings
from recflow.errors import BadConfiguration
from recflow.wiring.services import Services


def build_gateway(services: Services) -> Any:
    """The ASGI application (FastAPI) that serves every recipe of `RECFLOW_RECIPES`."""
    from recflow.gateway.app import create_app
    from recflow.gateway.service import Options, Seams

    settings = services.settings
    seams = Seams(services.scorer, services.router, services.events, services.clock)
    options = Options(
        folder=settings.home / "gateway",
        tokens=read_tokens(settings.gateway_token_file),
        poll_s=settings.gateway_poll_ms / 1000,
        lease_s=settings.gateway_lease_s,
    )
    return create_app(gateway_recipes(settings), seams, options)


def gateway_recipes(settings: Settings) -> list[Recipe]:
    """Every sound recipe of `RECFLOW_RECIPES`; BadConfiguration when there is none."""
    recipes = sound_recipes(settings.recipes)
    if not recipes:
        raise BadConfiguration(f"{settings.recipes} has no recipe", expected="at least one <name>.yaml", seen="none")
    return recipes


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
    try:
        tokens = tuple(filter(None, map(str.strip, path.read_text(encoding="utf-8").splitlines())))
    except (OSError, UnicodeDecodeError) as error:
        raise BadConfiguration(
            "RECFLOW_GATEWAY_TOKEN_FILE cannot be read", expected="a file", seen=str(error)
        ) from error
    if not tokens:
        raise BadConfiguration("RECFLOW_GATEWAY_TOKEN_FILE is empty", expected="a token a line", seen="none")
    return tokens
