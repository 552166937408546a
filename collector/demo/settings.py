"""The demo's own folder and settings file, so that nothing of it is in the real ledger."""

from pathlib import Path

from collector.demo.cast import FLAKY, MODELS, STEADY, Model
from collector.settings import Settings, load_settings

HEAD = f"""# Written by `callmeter demo`, and again at its next start.
[providers.{STEADY}]
base_url = "http://127.0.0.1:{{steady}}/v1"

[providers.{FLAKY}]
base_url = "http://127.0.0.1:{{flaky}}/v1"
"""


def demo_folder(data_dir: Path) -> Path:
    """Where everything of the demo is."""
    return data_dir / "demo"


def demo_settings(folder: Path, steady_port: int, flaky_port: int) -> Settings:
    """Writes the folder's callmeter.toml for providers on those ports and reads it."""
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "callmeter.toml"
    endpoints = [_endpoint(model, provider) for model in MODELS for provider in model.providers]
    config.write_text(HEAD.format(steady=steady_port, flaky=flaky_port) + "".join(endpoints))
    return load_settings(folder, f"sqlite:///{folder / 'callmeter.db'}", config)


def _endpoint(model: Model, provider: str) -> str:
    prices = {name: getattr(model, name) for name in ("input_usd_per_m", "cache_read_usd_per_m", "output_usd_per_m")}
    return "\n".join(
        [
            "\n[[endpoints]]",
            f'model = "{model.name}"',
            f'provider = "{provider}"',
            'input_modalities = ["text", "image"]' if model.sees else 'input_modalities = ["text"]',
            *(f"{name} = {price}" for name, price in prices.items() if price),
            "",
        ]
    )
