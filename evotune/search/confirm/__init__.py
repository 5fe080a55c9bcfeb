"""Finalists and their confirmation."""
