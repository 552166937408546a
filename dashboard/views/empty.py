"""What a page says that has no calls to show, and what brings some."""

from dashboard import cached
from dashboard.views import parts, scope

DEFAULT_GATEWAY = "http://127.0.0.1:8484/v1"


def no_calls(its: scope.Scope, refusal: str = "", is_filtered: bool = False) -> None:
    """Why there is nothing: the question was refused, filters leave nothing (a page's own too), or nothing came yet."""
    period = its.selection.period
    if refusal:
        parts.nothing("This cannot be answered", refusal)
    elif is_filtered or scope.spoken(its.selection):
        parts.nothing("No calls here", f"There are none in this period ({period}) with these filters: choose others.")
    else:
        address = cached.gateway_url(its.settings) or DEFAULT_GATEWAY
        parts.nothing(
            f"No calls in this period ({period})",
            "Choose a longer one, or send a call through the gateway:",
            f"callmeter up\nexport OPENAI_BASE_URL={address}",
        )
