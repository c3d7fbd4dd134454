"""What everything else is made of: errors, seeds, operators, measurements, methods, datasets, metrics."""
