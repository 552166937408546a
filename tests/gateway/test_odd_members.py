"""Each member that the gateway reads, with values of every kind: no 5xx, and nothing that OpenRouter does not publish.

Schemathesis asks with what its document allows; this is what it does not allow.
"""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.gateway.inside import inside, plain
from tests.gateway.published import faults
from tests.gateway.spoken import ALL, Spoken

_ROUTING = "model models provider route user session_id metadata prompt_cache_key usage"
_ASKING = (
    "stream stream_options n max_tokens max_completion_tokens max_output_tokens tools messages input prompt system"
)
MEMBERS = f"{_ROUTING} {_ASKING}".split()
PICTURES = [{"type": "image_url", "content": [[]]}]
VALUES: list[Any] = [None, 0, -1, 1e308, "", "\0", "\ud83d", True, [], {}, [[]], [None], [{}], PICTURES, {"order": "x"}]


@pytest.mark.parametrize("spoken", ALL, ids=lambda each: each.name)
def test_an_odd_member_goes_on_or_is_refused_as_documented(spoken: Spoken, tmp_path: Path) -> None:
    asked = [{**spoken.asked, name: value} for name in MEMBERS for value in VALUES]
    kind = {"kind": "anthropic"} if spoken.kind == "anthropic" else {}

    async def main() -> None:
        async with inside(tmp_path, *[plain(spoken.answer)] * len(asked), provider=kind) as gateway:
            for body in asked:
                answered = await asyncio.wait_for(gateway.ask(body, "/api/v1" + spoken.path), 20)
                assert answered.status in (200, 400), body
                if spoken.name != "completions":  # which OpenRouter documents no more
                    assert faults(spoken.path, "post", answered.status, answered.json) == [], body

    asyncio.run(main())
