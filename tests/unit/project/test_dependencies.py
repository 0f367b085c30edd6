"""The lists of dependencies agree with each other, with the imports, and with what is installed."""

import ast
import importlib.metadata
import re
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

REPOSITORY = Path(__file__).resolve().parents[3]
LOCKS = ("requirements.txt", "requirements-dev.txt")
# Installed although nothing that is named in pyproject.toml needs it.
BESIDE = {
    "apache-airflow-providers-cncf-kubernetes": "Airflow's KubernetesExecutor",
    "apache-airflow-providers-postgres": "Airflow's database beyond one laptop",
    "peft": "transformers takes it for adapters when it is there",
}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def named_dependencies() -> set[str]:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    return {normal(re.split(r"[\[<>=!~; ]", line)[0]) for line in project["dependencies"]}


def pins(lock: str) -> dict[str, str]:
    lines = (REPOSITORY / lock).read_text().splitlines()
    return {normal(name): version for name, version in (line.split("==") for line in lines if not line.startswith("#"))}


def imported_modules(folder: str) -> dict[str, str]:
    """Give the top-level names of all absolute imports below a folder, each with one file that has it."""
    found = {}
    for path in (REPOSITORY / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names = [node.module]
            else:
                continue
            found |= {name.partition(".")[0]: str(path.relative_to(REPOSITORY)) for name in names}
    return found


def test_every_import_of_the_product_is_a_named_dependency():
    # A Triton model.py and what Airflow brings as its own parts are not ours to name.
    known = set(sys.stdlib_module_names) | {
        "recflow",
        "recflow_airflow",
        "airflow",
        "pendulum",
        "triton_python_backend_utils",
    }
    named = named_dependencies()
    owners = importlib.metadata.packages_distributions()
    imports = imported_modules("src") | imported_modules("plugins") | imported_modules("dags")
    strangers = {
        module: path
        for module, path in imports.items()
        if module not in known and not named & {normal(owner) for owner in owners.get(module, [])}
    }
    assert not strangers, f"add these to pyproject.toml and the lock (see CONTRIBUTING.md): {strangers}"


def test_every_named_dependency_is_pinned():
    assert named_dependencies() <= pins("requirements.txt").keys()


def brought_by(*roots: str) -> set[str]:
    """The packages that these need, with themselves, by what is installed."""
    waiting, seen = [Requirement(root) for root in roots], set()
    while waiting:
        wanted = waiting.pop()
        for extra in {"", *wanted.extras} - {extra for name, extra in seen if name == normal(wanted.name)}:
            seen.add((normal(wanted.name), extra))
            needs = map(Requirement, importlib.metadata.requires(wanted.name) or ())
            waiting += [need for need in needs if need.marker is None or need.marker.evaluate({"extra": extra})]
    return {name for name, _ in seen}


def test_nothing_is_pinned_that_nothing_needs():
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    needed = brought_by(*project["dependencies"], *BESIDE)
    assert pins("requirements.txt").keys() - needed == set()


@pytest.mark.parametrize("package", BESIDE)
def test_each_reason_to_install_what_nothing_imports_is_still_needed(package):
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    others = brought_by(*project["dependencies"], *(other for other in BESIDE if other != package))
    assert normal(Requirement(package).name) not in others


def test_the_check_tools_are_pinned_apart_from_what_runs():
    assert not pins("requirements.txt").keys() & pins("requirements-dev.txt").keys()


@pytest.mark.parametrize("lock", LOCKS)
def test_what_is_installed_is_what_is_pinned(lock):
    wanted = pins(lock)
    installed = {name: importlib.metadata.version(name).partition("+")[0] for name in wanted}
    assert installed == wanted, "run make setup"
