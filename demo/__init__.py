"""The whole loop on one machine, as a story of five days."""
