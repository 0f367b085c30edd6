"""From a model artifact to what Triton serves."""
