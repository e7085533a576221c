"""Samplers: which architecture to look at next."""
