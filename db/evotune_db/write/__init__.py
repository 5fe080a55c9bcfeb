"""Statements that change the record."""
