"""Rows of a question to the pandas frames that figures and tables show; no database, no screen."""
