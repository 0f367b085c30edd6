"""Evaluation: from models and held-out examples to a decision."""
