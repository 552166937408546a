"""Who plays in the demo: its models with their providers, and its applications with what they ask for."""

import msgspec

STEADY, FLAKY = "steady", "flaky"


class Model(msgspec.Struct, frozen=True):
    """A model, the provider that is tried first, how often it is asked for, and its prices in USD per million tokens.

    Without a price it takes the one that callmeter ships.
    """

    name: str
    first: str
    weight: int
    ms_per_token: int
    sees: bool = False
    input_usd_per_m: str | None = None
    cache_read_usd_per_m: str | None = None
    output_usd_per_m: str | None = None

    @property
    def providers(self) -> tuple[str, str]:
        """Both providers, in the order in which they are tried."""
        return (STEADY, FLAKY) if self.first == STEADY else (FLAKY, STEADY)


MODELS = (
    Model("openai/gpt-4-turbo", FLAKY, 3, 22, sees=True),
    Model("openai/gpt-4o", STEADY, 4, 12, True, "2.5", "1.25", "10"),
    Model("openai/gpt-4o-mini", FLAKY, 6, 9, True, "0.15", "0.075", "0.6"),
    Model("anthropic/claude-sonnet-4", STEADY, 3, 16, True, "3", "0.3", "15"),
    Model("meta-llama/llama-3.3-70b-instruct", STEADY, 2, 4, False, "0.59", None, "0.79"),
)


class App(msgspec.Struct, frozen=True):
    """An application: its address and title, and the kinds of calls it makes, with their weights."""

    address: str
    title: str
    kinds: dict[str, int]


APPS = (
    App("https://chat.example.com", "Chat", {"stream": 8, "plain": 1, "abandoned": 1}),
    App("https://support.example.com", "Support desk", {"plain": 4, "tools": 4, "json": 2}),
    App("https://photos.example.com", "Photo notes", {"image": 1}),
    App("https://reports.example.com", "Reports", {"json": 3, "long": 2}),
    App("https://search.example.com", "Search", {"plain": 1, "stream": 1}),
    App("https://translate.example.com", "Translator", {"plain": 3, "long": 1}),
)
