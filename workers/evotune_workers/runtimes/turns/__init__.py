"""Turns of the sides that are timed on a CPU, each in its own process; the sides, their outputs and their threads."""
