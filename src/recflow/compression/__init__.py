"""Compression: from a checkpoint to the smallest self-contained model that still agrees with it."""
