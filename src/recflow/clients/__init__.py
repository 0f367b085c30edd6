"""The outside world behind the seams of `recflow.protocols`; SDKs of outside services are imported here only."""
