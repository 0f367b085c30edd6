"""Measures what the documents claim: each figure a ratio within one run, written to `results/` and to docs/benchmarks.md."""
