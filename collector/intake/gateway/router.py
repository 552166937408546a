"""From a request to its plan: the endpoints of its models, how they fared, and who served its session before."""

from collections.abc import Container, Mapping
from hashlib import blake2b
from random import getrandbits

import msgspec

from collector.core.periods import SECOND_US
from collector.core.prices import PriceBook
from collector.intake.gateway.asked import Asked
from collector.intake.gateway.catalog import MAX_MODELS, Catalog
from collector.intake.gateway.errors import Refusal
from collector.intake.gateway.health import Health
from collector.intake.gateway.need import Need, need_of
from collector.intake.gateway.operations import Operation, Surface
from collector.intake.gateway.planning import NOT_LIMITED, TIMED_SORTS, WAITS, Limited, Plan, Request, plan, text_of
from collector.intake.gateway.routing import Route, refuse_unknown, routes_of
from collector.intake.gateway.shared.fared import Ended, Fared
from collector.intake.gateway.shared.sessions import Sessions
from collector.intake.gateway.usual import Usual, all_well
from collector.intake.gateway.wishes import Wishes, read_wishes, wishes_nothing
from collector.ledger.book import load_cards
from collector.settings import Settings

_NO_ENDPOINT = (404, "no_endpoint", "ask for less, or add an endpoint that can")
# words of a plan's rule -> status, code and advice of the refusal where they hold of every endpoint
_REFUSALS = {
    "does not serve this operation": (404, "no_endpoint", "add it to the endpoint's operations"),
    "speaks another dialect": (
        404,
        "no_endpoint",
        "nothing is translated: add one whose operations include it",
    ),
    "has too small a context": (400, "context_length_exceeded", "shorten the prompt"),
    "answers too little at once": (400, "max_tokens_exceeded", "lower max_tokens"),
    "is not allowed by the key": (403, "permission_denied", "ask for a model that the key allows"),
    "has no known price": (
        403,
        "unpriced",
        "a limit applies to this call: give the endpoint a price, or raise max_price",
    ),
    WAITS: (429, "rate_limit_exceeded", "try again then"),
}
_CHOSEN = {"is not among only", "is to be ignored", "is not in order"}  # by the caller, who needs no telling
_MAX_SHOWN = 8


class Planned(msgspec.Struct, frozen=True):
    """A plan with what its call remembers of it. `text` is recorded; `refusal` is why there is nothing to try."""

    plan: Plan
    text: str
    need: Need
    session: str | None = None
    refusal: Refusal | None = None
    routes: tuple[Route, ...] = ()  # all that were looked at, in the order of the settings

    def replaced(self, plan: Plan) -> "Planned":
        """The same with another plan over the same routes."""
        return msgspec.structs.replace(self, plan=plan, text=text_of(plan, self.routes))


class Router:
    """Makes plans; `fared` is told of every attempt, `sessions` of every success."""

    def __init__(self, catalog: Catalog, fared: Fared, sessions: Sessions) -> None:
        self.catalog = catalog
        self.fared = fared
        self.sessions = sessions
        self._usuals: dict[tuple[str, str, str], Usual] = {}

    def plan(
        self,
        asked: Asked,
        surface: Surface,
        operation: Operation,
        session: str | None,
        now_us: int,
        max_names: int,
        limited: Limited = NOT_LIMITED,
        models_allowed: Container[str] | None = None,
    ) -> Planned:
        """The plan of a request. Raises Refusal for a routing member that is wrong and for a model nobody serves."""
        need = need_of(asked)
        known_as = session_key(asked, session)
        if known_as is None and not limited and models_allowed is None and wishes_nothing(asked):
            usual = self._usual(asked.model, surface, operation, now_us)
            if usual.fits(need) and all_well(self.fared.of(usual.ids, now_us), now_us):
                return Planned(*usual.made(getrandbits(64)), need, routes=usual.routes)
        wishes = read_wishes(asked, max_names)
        routes = self._routes(wishes, surface, now_us)
        if not routes:
            raise refuse_unknown(asked.model, self.catalog.routes)
        served_by = self.sessions.endpoint(known_as, asked.model, now_us) if known_as else None
        request = Request(wishes, need, operation.name, operation.kinds, served_by, models_allowed, limited)
        with_times = bool(wishes.sort in TIMED_SORTS or wishes.latency_s or wishes.throughput)
        health = self.fared.of([route.id for route in routes], now_us, with_times)
        made = plan(request, routes, health, now_us, _seed(known_as))
        refusal = None if made.steps else refusal_of(made, asked.model, operation, health, now_us)
        return Planned(made, text_of(made, routes), need, known_as, refusal, routes)

    def ended(self, ended: Ended) -> None:
        """An attempt is over."""
        self.fared.add(ended)

    def served(self, session: str, model: str, route: Route, now_us: int) -> None:
        """An endpoint has answered a session: it is asked first the next time, so that it reads from its cache."""
        self.sessions.put(session, model, route.id, now_us)

    def _usual(self, model: str, surface: Surface, operation: Operation, now_us: int) -> Usual:
        routes = self.catalog.endpoints(model, "", surface.built_in, now_us)
        name = model, surface.prefix, operation.name
        found = self._usuals.get(name)
        if found is None or found.routes is not routes:
            if len(self._usuals) >= MAX_MODELS:
                self._usuals.clear()
            found = self._usuals[name] = Usual(routes, operation)
        return found

    def _routes(self, wishes: Wishes, surface: Surface, now_us: int) -> tuple[Route, ...]:
        found: tuple[Route, ...] = ()
        for model, suffix in wishes.models:
            found += self.catalog.endpoints(model, suffix, surface.built_in, now_us)
        return found


def router_of(settings: Settings, book: PriceBook | None, fared: Fared | None = None) -> Router:
    """The router of these settings, with the prices of a book and the cards of the models."""
    return Router(Catalog(routes_of(settings), book, load_cards()), fared or Fared(), Sessions())


def session_key(asked: Asked, session: str | None) -> str | None:
    """What a conversation is known by: its session, else the key that it states for the provider's prompt cache."""
    raw = asked.members.get("prompt_cache_key")
    return session or (bytes(raw).decode("utf-8", "replace")[:256] if raw and bytes(raw) != b"null" else None)


def refusal_of(made: Plan, model: str, operation: Operation, health: Mapping[str, Health], now_us: int) -> Refusal:
    """Why a plan is empty: an endpoint that fits asked to wait, or the one reason that all share, or each its own."""
    reasons = {step.why for step in made.dropped}
    reasons = reasons - _CHOSEN or reasons
    shared = WAITS if WAITS in reasons else next(iter(reasons)) if len(reasons) == 1 else ""
    status, code, advice = _REFUSALS.get(shared, _NO_ENDPOINT)
    waits = [health[step.route.id].wait_until_us for step in made.dropped if step.why == WAITS]
    told = ", ".join(f"{step.route.provider} {step.why}" for step in made.dropped[:_MAX_SHOWN])
    more = " and more" if len(made.dropped) > _MAX_SHOWN else ""
    message = f"no endpoint of {model[:100]!r} can take this {operation.name} request: {told}{more}; {advice}"
    retry_after = str(max(1, -(-(min(waits) - now_us) // SECOND_US))) if waits else None
    return Refusal(status, code, message, None if waits else "model", retry_after=retry_after)


def _seed(session: str | None) -> int:
    """A session draws the same in every worker; anything else draws anew."""
    if session is None:
        return getrandbits(64)
    return int.from_bytes(blake2b(session.encode(), digest_size=8).digest(), "big")
