"""The database and the journal in front of it. Only ingest writes calls; only questions read them."""
