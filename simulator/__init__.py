"""A separate process that says what the providers would have said: from their fact sheets, not from our code."""
