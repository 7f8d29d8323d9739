"""The shared benchmark harness of rlsuite: ``python -m benchmarks --help``."""
