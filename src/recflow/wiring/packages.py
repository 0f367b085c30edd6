"""Packages by the words that people call them by: a line, one of its versions, a reference, a recipe's file."""

import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from recflow.artifacts.manifests import Manifest
from recflow.artifacts.refs import Ref, RefKind
from recflow.config.recipe import Recipe
from recflow.config.recipe_loader import recipe_paths
from recflow.errors import BadConfiguration
from recflow.rollout.candidates import version_id
from recflow.wiring.services import Services, expect_model

STABLE, CANDIDATE = "stable", "candidate"
_VERSION = re.compile(r"\d{8}-[0-9a-f]{8}")
_SHOWN = 5


@dataclass(frozen=True)
class NamedPackage:
    """A package with its line's name, its version, its manifest and the recipe that it was made with."""

    line: str
    version: str
    ref: Ref
    manifest: Manifest
    recipe: Recipe


def find_package(services: Services, word: str) -> NamedPackage:
    """The package that a word means.

    `NAME` or a recipe's file: the line's stable version, else its newest package. `NAME@candidate`: its newest,
    whatever the gate said. `NAME@stable`, `NAME@VERSION`, `VERSION`; a reference as JSON, or in a .json file.
    BadConfiguration when there is none, or it cannot be read what it was made with.
    """
    if word.lstrip().startswith("{") or word.endswith(".json"):
        return _named(services, read_reference(word).expect(RefKind.PACKAGE))
    if _VERSION.fullmatch(word):
        return _named(services, _version_of_any(services, word))
    name, _, what = word.partition("@")
    line = services.recipe(name).name if Path(name).suffix else name
    return _named(services, _of_line(services, line, what))


def read_reference(text: str) -> Ref:
    """A reference from JSON, or from the file that holds it; BadConfiguration for neither."""
    try:
        return Ref.model_validate_json(text if text.lstrip().startswith("{") else Path(text).read_bytes())
    except (OSError, ValueError) as error:
        raise BadConfiguration(
            "the package's reference cannot be read", expected="JSON of a reference, or its file", seen=str(error)
        ) from error


def newest(services: Services, line: str, kind: RefKind) -> tuple[Ref, Manifest] | None:
    """The artifact of a kind that a line made last; None before the first."""
    keys = {
        key.split("/")[2] for key in services.store.list(f"{line}/{kind.folder}/") if key.endswith("/manifest.json")
    }
    found = [made for key in sorted(keys) if (made := services.artifacts.find(line, kind, key))]
    return max(found, key=lambda made: made[1].created_at, default=None)


def _of_line(services: Services, line: str, what: str) -> Ref:
    head = services.ledger.head(line)
    stable = head.state.stable if head else None
    if stable and what in {"", STABLE}:
        return stable.package
    if what in {"", CANDIDATE} and (made := newest(services, line, RefKind.PACKAGE)):
        return made[0]
    if found := next((ref for version, ref in _versions(services, line) if version == what), None):
        return found
    known = sorted((version for version, _ in _versions(services, line)), reverse=True)
    if not known:
        expect_model(services.recipe(line))  # says of a misspelt name which one is near
    raise BadConfiguration(
        f"{line} has no {f'version {what}' if _VERSION.fullmatch(what) else what or 'package'}",
        expected=", ".join([STABLE, CANDIDATE, *known[:_SHOWN]]) if known else "a package: retrain the line first",
        seen=what or "none",
        action=_near(what, known),
    )


def _near(what: str, known: list[str]) -> str:
    near = difflib.get_close_matches(what, [STABLE, CANDIDATE, *known], n=1)
    return f"did you mean {near[0]}?" if near else ""


def _version_of_any(services: Services, version: str) -> Ref:
    lines = recipe_paths(services.settings.recipes)
    found = {line: ref for line in lines for known, ref in _versions(services, line) if known == version}
    if len(found) == 1:
        return next(iter(found.values()))
    raise BadConfiguration(
        f"version {version} is {'of several lines' if found else 'of no line'}",
        expected="NAME@VERSION of a line of this installation",
        seen=", ".join(found or lines) or "no recipe",
    )


def _versions(services: Services, line: str) -> Iterator[tuple[str, Ref]]:
    """Every package of a line that is still kept, by its version."""
    for key in services.store.list(f"{line}/{RefKind.PACKAGE.folder}/"):
        folder, _, name = key.partition("/manifests/")
        if not name:
            continue
        ref = Ref(kind=RefKind.PACKAGE, uri=f"{services.store.root}/{folder}", digest=name.removesuffix(".json"))
        yield version_id(services.artifacts.manifest(ref).interval, ref), ref


def _named(services: Services, ref: Ref) -> NamedPackage:
    manifest = services.artifacts.manifest(ref)
    version = version_id(manifest.interval, ref)
    try:
        recipe = Recipe.model_validate_json(services.artifacts.read(ref, "recipe.json") or b"")
    except ValidationError as error:
        raise BadConfiguration(
            f"the recipe that {manifest.recipe}@{version} was made with cannot be read",
            expected="one of this version of recflow, whose task is installed",
            seen=str(error.errors()[0]["msg"]),
            action="train the line again",
        ) from error
    return NamedPackage(manifest.recipe, version, ref, manifest, recipe)
