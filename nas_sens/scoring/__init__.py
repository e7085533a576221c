"""Scores of untrained candidates."""
