"""What a run left, for people: one read-only view of it, its figures in words, and one page."""
