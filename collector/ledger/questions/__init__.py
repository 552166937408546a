"""Pure functions from a Selection to a SELECT, by subject."""
