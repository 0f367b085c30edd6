"""The planted fault of day 4: a post-processing that reverses the order of more than five items."""


def process(scores: list[float]) -> list[float]:
    """Scores as they came up to five items; with the opposite sign above."""
    return scores if len(scores) <= 5 else [-score for score in scores]
