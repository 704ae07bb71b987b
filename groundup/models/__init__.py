"""One architecture, one file; the file's name is the name a recipe uses."""
