"""The parts of benchmarks/replay.py: searches of recorded spaces, their figures, and tables."""
