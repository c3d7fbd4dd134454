"""Batched solvers that methods share; each works in the dtype and on the device of its input."""
