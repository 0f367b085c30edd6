"""Experiments: what two arms of shoppers did, and what may be concluded from it at any time."""
