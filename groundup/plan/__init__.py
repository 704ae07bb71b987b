"""What a run will cost and how good it will be, before it runs."""
