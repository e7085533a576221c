"""Figures that a study declares in ``[[figures]]``."""
