"""One reader per file format, in one table."""
