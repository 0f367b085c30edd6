"""Watching: what serves now still answers, fast, as it was judged; and what a person is told when it does not."""
