"""The command line: one command a stage, and one sub-command a room."""
