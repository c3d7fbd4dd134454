"""Searches for the z of a generator G(z)."""
