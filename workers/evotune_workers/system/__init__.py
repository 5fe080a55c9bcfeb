"""Temporary folders, the cache folder, the machine lock, time limits, and processes that end with this one.

Nothing here imports another package of ours.
"""
