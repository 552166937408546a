"""What a page's handler is given, and what it gives. Handlers run in a thread of their own and may read the ledger."""

import threading
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING

import msgspec

from collector.core.budgets import Budget
from collector.core.prices import PriceBook
from collector.intake.gateway.errors import Refusal
from collector.intake.gateway.operations import Surface
from collector.intake.gateway.shared.budgets import Standing
from collector.intake.gateway.shared.keys import Key
from collector.settings import Settings

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from collector.intake.gateway.pages.listing import Listing

JSON = "application/json"


class Asked(msgspec.Struct, frozen=True):
    """One request for a page: the parts of its path that vary, its query as it was sent, when it came, and where to."""

    surface: Surface
    path: Mapping[str, str]
    query: bytes
    now_us: int
    host: str = ""
    key: Key | None = None  # the gateway key that it came with


class Reply(msgspec.Struct, frozen=True):
    """What is answered."""

    body: bytes
    content_type: str = JSON
    headers: tuple[tuple[bytes, bytes], ...] = ()


class Sources:
    """What pages are made from.

    `counters` tells by reason what all workers turned away without its being a call, `standing` how a budget stands.
    """

    def __init__(
        self,
        settings: Settings,
        book: PriceBook | None = None,
        counters: Callable[[], Mapping[str, int]] = dict,
        standing: Callable[[Budget, int], Standing] | None = None,
    ) -> None:
        self.settings = settings
        self.book = book
        self.counters = counters
        self.standing = standing
        self.tails: dict[str, tuple[int, int | None]] = {}  # of the journal's segments, as questions.books has them
        self.metrics = 0.0, b""  # when they were last made, and their text
        self._engine: Engine | None = None
        self._file_id: object = None
        self._opening = threading.Lock()

    @property
    def engine(self) -> "Engine":
        """The ledger, read only; opened anew when its file was put in place of another.

        Raises LedgerError where there is none yet, or of another revision.
        """
        from collector.ledger.questions.about import file_id
        from collector.ledger.questions.ask import reading

        with self._opening:
            if self._engine is None or file_id(self._engine) != self._file_id:
                if self._engine is not None:
                    self._engine.dispose()
                self._engine = None
                self._engine = reading(self.settings.ledger_url)
                self._file_id = file_id(self._engine)
            return self._engine

    @cached_property
    def models(self) -> "Listing":
        """The models that can be routed, listed once an hour."""
        from collector.intake.gateway.pages.listing import Listing

        return Listing(self.settings, self.book)


def json_reply(body: object) -> Reply:
    """An answer in JSON."""
    return Reply(msgspec.json.encode(body))


def not_found(what: str) -> Refusal:
    """The refusal of something that is not there."""
    return Refusal(404, "not_found", what)
