"""Plans of calls that ask for nothing of their own while all endpoints do well, as nearly all are: made ready once."""

from collections.abc import Iterable, Mapping

from collector.intake.gateway.drawing import draw_among
from collector.intake.gateway.health import Health
from collector.intake.gateway.need import Need
from collector.intake.gateway.operations import Operation
from collector.intake.gateway.planning import BY_DRAW, BY_FILE, Plan, Request, Step, plan, text_of
from collector.intake.gateway.routing import Route
from collector.intake.gateway.wishes import Wishes

MAX_ORDERS = 512  # kept of each, with the texts of their plans; the draws among many endpoints have more
_NO_BOUND = 1 << 62
_ANY_MODALITY = frozenset({"image", "audio", "file", "video"})

Made = tuple[Plan, str]  # a plan and its text


class Usual:
    """What `planning.plan` gives over one model's routes where no wish, key, session or budget bounds a request."""

    def __init__(self, routes: tuple[Route, ...], operation: Operation) -> None:
        bare = Request(Wishes(models=()), Need(), operation.name, operation.kinds)
        fits = plan(bare, routes, {}, 0, 0)
        kept = {id(route) for route in fits.routes}
        self.routes = routes
        self.ids = tuple([route.id for route in routes])
        self._kept = tuple([Step(route) for route in routes if id(route) in kept])
        self._dropped = fits.dropped
        self._draw = draw_among([step.route.price for step in self._kept])
        self._made: dict[tuple[int, ...], Made] = {}
        fitting = [step.route for step in self._kept]
        self._context = _least([route.context_tokens for route in fitting])
        self._output = _least([route.max_output_tokens for route in fitting])
        self._modalities = _shared([route.input_modalities for route in fitting], _ANY_MODALITY)
        self._parameters = _shared([route.supported_parameters for route in fitting], frozenset({"tools"}))

    def fits(self, need: Need) -> bool:
        """Whether every endpoint that serves the operation can take such a request."""
        most = need.max_tokens or 0
        return (
            bool(self._kept)
            and need.most_tokens + most <= self._context
            and most <= self._output
            and need.modalities <= self._modalities
            and ("tools" not in need.parameters or "tools" in self._parameters)
        )

    def made(self, seed: int) -> Made:
        """The plan as long as `fits` and `all_well` hold, with its text."""
        ranks = self._draw.ranks(seed) if self._draw else ()
        order = tuple(sorted(range(len(ranks)), key=ranks.__getitem__))
        found = self._made.get(order)
        if found is None:
            found = self._make(order)
            if len(self._made) < MAX_ORDERS:
                self._made[order] = found
        return found

    def _make(self, order: tuple[int, ...]) -> Made:
        steps = tuple([self._kept[n] for n in order]) if self._draw else self._kept
        made = Plan(BY_DRAW if self._draw else BY_FILE, steps, self._dropped)
        return made, text_of(made, self.routes)


def all_well(health: Mapping[str, Health], now_us: int) -> bool:
    """Whether nothing that is known of any endpoint speaks against it."""
    return not any(each.state or each.wait_until_us > now_us for each in health.values())


def _least(bounds: Iterable[int | None]) -> int:
    return min([bound for bound in bounds if bound is not None], default=_NO_BOUND)


def _shared(stated: Iterable[frozenset[str] | None], most: frozenset[str]) -> frozenset[str]:
    return most.intersection(*[each for each in stated if each is not None])
