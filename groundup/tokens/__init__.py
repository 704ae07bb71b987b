"""Ids on disk to rows in memory. The order of rows is a function of (seed, position) alone."""
