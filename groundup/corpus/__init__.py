"""Raw text in, clean documents out: `refine.build` runs the three passes."""
