"""From Parquet to what people read; pure functions of the rows, and no torch."""
