"""Release: from a packaged candidate to stable, or back. `machine.advance` does the next due step."""
