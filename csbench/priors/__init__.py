"""Learned priors: generators, their checkpoints, their training, and recovery in their range."""
