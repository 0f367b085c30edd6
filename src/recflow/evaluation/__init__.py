"""Evaluation: from models and held-out queries to a decision."""
