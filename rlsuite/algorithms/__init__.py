"""The algorithms, each a ``make`` from (problem, config) to pure functions."""
