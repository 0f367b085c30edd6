"""Pure rules that several stages share."""
