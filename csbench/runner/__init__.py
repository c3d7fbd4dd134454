"""From a suite to rows: which cells are missing, where they run, how they are scored."""
