"""Figures that answer to the pointer, beside still ones that say the same where there are no scripts."""
