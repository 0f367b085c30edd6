"""The serving front: sticky routing, time limits and fallback, and a log of who was shown what by which version."""
