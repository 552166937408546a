"""callmeter keeps the books of LLM API calls."""

__version__ = "0.1.0"
