"""Tables on disk: results, the journal, and what is derived from them."""
