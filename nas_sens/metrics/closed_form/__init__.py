"""Expectation of the output sensitivity over random networks of wide layers, without drawing any."""
