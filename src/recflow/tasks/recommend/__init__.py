"""What a user turns to next, from what they turned to before."""
