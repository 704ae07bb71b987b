"""The one training loop. A method is a feed (what comes in) plus an objective (what is wanted of it)."""
