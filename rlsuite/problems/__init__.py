"""The named problems of each algorithm: how they are built, scored against, and drawn."""
