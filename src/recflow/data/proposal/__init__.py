"""From a sample of a shop's events to a recipe that reads them: what was guessed, from what, and what was not."""
