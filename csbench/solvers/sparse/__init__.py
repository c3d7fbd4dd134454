"""Greedy pursuit, hard thresholding and trees of wavelet coefficients."""
