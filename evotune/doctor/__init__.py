"""Checks of what this machine has and lacks."""
