"""Trained networks as folders that are ready for use: writing, reading, describing them."""
