"""What there is, by name: methods, datasets, operators, suites, papers."""
