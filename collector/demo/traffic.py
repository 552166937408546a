"""Applications that call through the gateway with the official openai SDK, a few calls a second, forever."""

import random
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import openai

from collector.demo.cast import APPS, MODELS
from collector.parent import watch_parent

PIXEL = "data:image/png;base64," + (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="
)
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather of a place.",
        "parameters": {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]},
    },
}
THREADS = 3
PAUSE_S = 0.7  # of each thread, between two calls, on average


def arguments(kind: str, dice: random.Random) -> dict[str, Any]:
    """The request of one kind of call."""
    question = "How are the books kept? " * dice.randint(1, 40)
    content: Any = question * 12 if kind == "long" else question
    if kind == "image":
        pictures = [{"type": "image_url", "image_url": {"url": PIXEL}}] * dice.randint(1, 3)
        content = [{"type": "text", "text": question}, *pictures]
    extra: dict[str, dict[str, Any]] = {
        "tools": {"tools": [WEATHER]},
        "json": {"response_format": {"type": "json_object"}},
        "stream": {"stream": True},
        "abandoned": {"stream": True},
    }
    return {"messages": [{"role": "user", "content": content}], **extra.get(kind, {})}


def call_once(clients: dict[str, openai.OpenAI], dice: random.Random) -> None:
    """One call of a random application, user, model and kind; a failure is the provider's, and recorded."""
    app = dice.choice(APPS)
    kind = dice.choices(list(app.kinds), list(app.kinds.values()))[0]
    model = _model(kind, dice)
    user = f"user-{int(dice.paretovariate(1.2))}"
    try:
        answer = clients[app.address].chat.completions.create(model=model, user=user, **arguments(kind, dice))
        if kind in ("stream", "abandoned"):
            _read(answer, 2 if kind == "abandoned" else None)
    except openai.OpenAIError:
        return


def _model(kind: str, dice: random.Random) -> str:
    fit = [model for model in MODELS if model.sees or kind != "image"]
    return dice.choices(fit, [model.weight for model in fit])[0].name


def _read(stream: Any, at_most: int | None) -> None:
    for n, _ in enumerate(stream):
        if n == at_most:
            stream.close()
            return


def run(gateway: str, seed: int, pause: Callable[[float], None] = time.sleep) -> None:
    """Calls through the gateway at that address, one after another, forever."""
    dice = random.Random(seed)
    clients = {
        app.address: openai.OpenAI(
            base_url=gateway,
            api_key="demo",
            max_retries=0,
            timeout=30,
            default_headers={"HTTP-Referer": app.address, "X-Title": app.title},
        )
        for app in APPS
    }
    while True:
        call_once(clients, dice)
        pause(dice.expovariate(1 / PAUSE_S))


if __name__ == "__main__":
    watch_parent()
    for n in range(THREADS):
        threading.Thread(target=run, args=(sys.argv[1], n), daemon=True).start()
    threading.Event().wait()
