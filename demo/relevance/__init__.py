"""The line that orders search results, as a story of five days."""
