"""Filters: each file judges documents by one property. The file's name is the name a recipe uses."""
