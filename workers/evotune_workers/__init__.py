"""Evaluating one configuration: everything that runs on a Ray node."""
