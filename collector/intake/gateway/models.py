"""The list of models in OpenAI's shape."""

from typing import Any

from collector.intake.gateway.routing import Routes


def model_list(routes: Routes) -> dict[str, Any]:
    """What `client.models.list()` reads: each configured model once, owned by the first provider that serves it."""
    return {
        "object": "list",
        "data": [
            {"id": model, "object": "model", "created": 0, "owned_by": endpoints[0].provider}
            for model, endpoints in routes.by_model.items()
        ],
    }
