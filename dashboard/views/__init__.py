"""The pages: they only place things."""
