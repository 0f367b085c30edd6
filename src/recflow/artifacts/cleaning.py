"""What a cleaning rule did to a day, for people to look at."""

from recflow.artifacts.frozen import Frozen


class RuleReport(Frozen):
    """How many values a rule changed, or rows it took away, with at most three examples.

    Nothing that masking finds stands in an example.
    """

    name: str
    changed: int
    examples: tuple[str, ...] = ()
