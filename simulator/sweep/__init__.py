"""A scenario at every combination of values, in parallel processes, resumable."""
