"""The demo's own folder and settings file, so that nothing of it is in the real ledger."""

from pathlib import Path

from collector.settings import Settings, load_settings

STEADY, FLAKY = "steady", "flaky"
# How much of the traffic asks for each model, and which provider is tried first.
MODELS = (("openai/gpt-4-turbo", 3), ("openai/gpt-4o", 4), ("openai/gpt-4o-mini", 6))
FIRST = {"openai/gpt-4-turbo": FLAKY, "openai/gpt-4o": STEADY, "openai/gpt-4o-mini": FLAKY}

HEAD = """# Written by `callmeter demo`; written again at its next start.
[providers.steady]
base_url = "http://127.0.0.1:{steady}/v1"

[providers.flaky]
base_url = "http://127.0.0.1:{flaky}/v1"
"""
ENDPOINT = """
[[endpoints]]
model = "{model}"
provider = "{provider}"
input_modalities = ["text", "image"]
"""


def demo_settings(data_dir: Path, steady_port: int, flaky_port: int) -> Settings:
    """Writes DIR/demo/callmeter.toml for providers on those ports and reads it."""
    folder = data_dir / "demo"
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "callmeter.toml"
    config.write_text(HEAD.format(steady=steady_port, flaky=flaky_port) + "".join(_endpoints()))
    return load_settings(folder, f"sqlite:///{folder / 'callmeter.db'}", config)


def _endpoints() -> list[str]:
    order = {STEADY: (STEADY, FLAKY), FLAKY: (FLAKY, STEADY)}
    return [ENDPOINT.format(model=model, provider=each) for model, _ in MODELS for each in order[FIRST[model]]]
