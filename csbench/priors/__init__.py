"""Learned models of images: generators, Gaussians, mixtures, and their files."""
