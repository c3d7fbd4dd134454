"""The Lasso: exact paths, large problems, independent solvers."""
