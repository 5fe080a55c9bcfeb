"""Temporary folders, the machine lock, time limits."""
