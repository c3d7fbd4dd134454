"""Commands that look at results, or at the code that made them, from another side."""
