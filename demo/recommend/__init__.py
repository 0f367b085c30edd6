"""The line that recommends, as a story of four days."""
