"""How priors are trained and judged."""
