"""A registry in memory."""

from collections.abc import Mapping, Sequence

from recflow.artifacts.refs import Numbers, Ref
from recflow.errors import PermanentError


class FakeRegistry:
    """Passes the same suite as MlflowRegistry; `runs`, `curves` and `packages` show what it was told."""

    def __init__(self) -> None:
        self.runs: dict[str, dict[str, object]] = {}
        self.curves: dict[tuple[str, str], list[tuple[int, float]]] = {}
        self.packages: dict[tuple[str, str], Ref] = {}
        self._aliases: dict[str, dict[str, str]] = {}

    def log_run(
        self, recipe: str, run: str, *, params: Numbers, metrics: Mapping[str, float], tags: Mapping[str, str]
    ) -> str:
        run_id = f"{recipe}/{run}"
        self.runs.setdefault(run_id, {"params": dict(params), "metrics": dict(metrics), "tags": dict(tags)})
        return run_id

    def log_curve(self, run_id: str, name: str, points: Sequence[tuple[int, float]]) -> None:
        self.curves[run_id, name] = list(points)

    def register(self, recipe: str, version: str, package: Ref, *, run_id: str = "") -> None:
        self.packages.setdefault((recipe, version), package)

    def set_alias(self, recipe: str, alias: str, version: str) -> None:
        if (recipe, version) not in self.packages:
            raise PermanentError(f"alias {alias} of {recipe}", expected="a registered version", seen=version)
        self._aliases.setdefault(recipe, {})[alias] = version

    def aliases(self, recipe: str) -> dict[str, str]:
        return dict(self._aliases.get(recipe, {}))
