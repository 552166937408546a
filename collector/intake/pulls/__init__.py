"""What providers say of themselves: PULLS is the table, one module per provider's API.

asking     GET, bounded, with Retry-After
sums       days in pieces, with a mark where they were read whole
openai, anthropic, openrouter   the APIs' shapes
listed     price lists
statuspage incidents
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from collector.intake.pulls import anthropic, openai, openrouter
from collector.intake.pulls.asking import anthropic as anthropic_headers
from collector.intake.pulls.asking import bearer
from collector.intake.pulls.sums import STEP_DAYS, Read


class Api(NamedTuple):
    """One pull of sums. `history_days` is how far back the API knows; `again_days` is how long it corrects itself.

    `step_days` are read at once. `completed` days only: the running one is refused or not settled. `now`: the figures
    are of this moment, whatever the day.
    """

    name: str
    kind: str
    what: str
    read: Read
    step_days: int
    history_days: int
    again_days: int
    completed: bool = False
    now: bool = False


HISTORY = 10_000  # longer than `pull_days`
PULLS = (
    Api("openrouter_activity", "openrouter", "activity", openrouter.activity, 1, openrouter.HISTORY_DAYS, 3, True),
    Api("openrouter_credits", "openrouter", "credits", openrouter.credits, 1, 1, 0, now=True),
    Api("openrouter_key", "openrouter", "key", openrouter.key_usage, 1, 1, 0, now=True),
    Api("openai_usage", "openai", "usage", openai.usage, STEP_DAYS, HISTORY, 3),
    Api("openai_costs", "openai", "costs", openai.costs, STEP_DAYS, HISTORY, 7),
    Api("anthropic_usage", "anthropic", "usage", anthropic.usage, STEP_DAYS, HISTORY, 3),
    Api("anthropic_costs", "anthropic", "costs", anthropic.costs, STEP_DAYS, HISTORY, 7, True),
)
HEADERS: Mapping[str, Callable[[str | None], dict[str, str]]] = {
    "openai": bearer,
    "openrouter": bearer,
    "anthropic": anthropic_headers,
}
