"""The models of the reference load, and what their two providers call them in their answers."""

from typing import NamedTuple


class Home(NamedTuple):
    """A provider of a model: what it calls the model, and how the ids of its answers begin."""

    provider: str
    served_model: str
    id_prefix: str = "chatcmpl-"


class Route(NamedTuple):
    """A model and its providers, the first one preferred; generation takes `ms_per_token`."""

    model: str
    homes: tuple[Home, Home]
    ms_per_token: int
    reasons: bool = False
    sees: bool = False


def _openai(name: str, served: str, ms_per_token: int, *, reasons: bool = False, sees: bool = True) -> Route:
    return Route(f"openai/{name}", (Home("openai", served), Home("azure", served)), ms_per_token, reasons, sees)


def _routed(model: str, home: Home, ms_per_token: int, *, reasons: bool = False, sees: bool = False) -> Route:
    return Route(model, (home, Home("openrouter", model, "gen-")), ms_per_token, reasons, sees)


ROUTES: tuple[Route, ...] = (
    _openai("gpt-4-turbo", "gpt-4-turbo-2024-04-09", 22),
    _openai("gpt-4o", "gpt-4o-2024-08-06", 12),
    _openai("gpt-4o-mini", "gpt-4o-mini-2024-07-18", 9),
    _openai("gpt-4.1", "gpt-4.1-2025-04-14", 12),
    _openai("gpt-4.1-mini", "gpt-4.1-mini-2025-04-14", 8),
    _openai("gpt-5-mini", "gpt-5-mini-2025-08-07", 10, reasons=True),
    _openai("o3-mini", "o3-mini-2025-01-31", 9, reasons=True, sees=False),
    _routed("anthropic/claude-sonnet-4", Home("anthropic", "claude-sonnet-4-20250514", "msg_01"), 16, sees=True),
    _routed("anthropic/claude-3.5-haiku", Home("anthropic", "claude-3-5-haiku-20241022", "msg_01"), 11),
    _routed("anthropic/claude-opus-4.1", Home("anthropic", "claude-opus-4-1-20250805", "msg_01"), 25, sees=True),
    _routed("google/gemini-2.5-pro", Home("google", "gemini-2.5-pro"), 12, reasons=True, sees=True),
    _routed("google/gemini-2.5-flash", Home("google", "gemini-2.5-flash"), 6, sees=True),
    _routed("google/gemini-2.0-flash-001", Home("google", "gemini-2.0-flash"), 6, sees=True),
    _routed("deepseek/deepseek-chat", Home("deepseek", "deepseek-chat"), 20),
    _routed("deepseek/deepseek-r1", Home("deepseek", "deepseek-reasoner"), 22, reasons=True),
    _routed("mistralai/mistral-large", Home("mistral", "mistral-large-latest"), 15),
    _routed("mistralai/mistral-small", Home("mistral", "mistral-small-latest"), 8),
    _routed("x-ai/grok-3", Home("x-ai", "grok-3"), 14),
    Route(
        "meta-llama/llama-3.3-70b-instruct",
        (Home("groq", "llama-3.3-70b-versatile"), Home("together", "meta-llama/Llama-3.3-70B-Instruct-Turbo")),
        4,
    ),
    Route(
        "meta-llama/llama-3.1-8b-instruct",
        (Home("groq", "llama-3.1-8b-instant"), Home("together", "meta-llama/Meta-Llama-3.1-8B-Instruct-Turbo")),
        2,
    ),
)
