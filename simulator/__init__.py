"""A separate process that says what the providers would have said: from docs/providers/, not from our code."""
