"""What a model may call: one file, one tool."""
