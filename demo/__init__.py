"""The whole loop on one machine, as a story of a few days; one story a line."""
