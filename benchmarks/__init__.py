"""Measures what the documents claim: each figure within one run, kept in `results/` and told in docs/benchmarks.md."""
