"""Relevance: a query and items in, a score an item out; what is shown is the order of the scores."""
