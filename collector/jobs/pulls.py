"""Jobs that ask providers for their own figures and price lists, and status pages for incidents.

Everything they learn goes into the journal. One address that fails, or is slow, stops no other: what failed is told at
the end.
"""

import os
import re
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from collector.core.calls import Call
from collector.core.errors import InputError, SourceError
from collector.core.periods import DAY_S, SECOND_US
from collector.core.prices.pulled import Standing, change
from collector.core.told import PulledPrice, Told
from collector.intake.pulls import HEADERS, Api, listed, openrouter
from collector.intake.pulls.asking import Asker, Bounds
from collector.intake.pulls.statuspage import incidents
from collector.intake.pulls.sums import Days, Reading, read_days
from collector.jobs.work import Work
from collector.ledger.book import load_book
from collector.ledger.book.load import names_of
from collector.ledger.journal import Writer
from collector.ledger.questions.ask import rows
from collector.ledger.questions.lookups import partial_calls, used_models
from collector.ledger.questions.pulled import read_through, standings
from collector.outside import Pull, StatusPage, kind_of
from collector.settings import Provider, Settings
from collector.side_by_side import side_by_side

SOURCE = "collect"  # of the journal's segments
SHARE = 0.5  # a list that has lost so many models is taken for broken
AT_ONCE = 20  # addresses of one job
PULL_S, PAGE_S = 120.0, 20.0  # how long one address may take: all of them together less than their job may
MAX_ENDPOINT_MODELS = 50
MAX_LOOKUPS = 100
LOOKUP_DAYS = 2  # a call that is still unknown then stays as it is
_DAY_US = DAY_S * SECOND_US
_SLUG = re.compile(r"[\w~-][\w.:~-]*(/[\w~-][\w.:~-]*)?", re.ASCII)  # what may stand in an address as it is


class Asked(Pull, frozen=True):
    """A pull with its kind and address made out."""

    name: str = ""
    address: str = ""

    def offers(self, what: str) -> bool:
        """Whether the settings ask for it."""
        return self.what is None or what in self.what


def asked(settings: Settings) -> list[Asked]:
    """The pulls of the settings."""
    return [_asked(settings, name, pull) for name, pull in settings.pulls.items()]


def _asked(settings: Settings, name: str, pull: Pull) -> Asked:
    provider: Provider | None = {**settings.built_in, **settings.providers}.get(name)
    kind = kind_of(name, pull, provider.kind if provider else None)
    address = pull.base_url or (provider.base_url if provider else _ADDRESSES[kind])
    return Asked(pull.key_env, kind, address, pull.what, name, address)


_ADDRESSES = {
    "openai": "https://api.openai.com/v1",
    "anthropic": "https://api.anthropic.com/v1",
    "openrouter": "https://openrouter.ai/api/v1",
}


def is_asked(kind: str, what: str) -> Callable[[Settings], bool]:
    """Whether the settings name a provider of a kind for a pull."""

    def test(settings: Settings) -> bool:
        return any(pull.kind == kind and pull.offers(what) for pull in asked(settings))

    return test


def pull_sums(api: Api) -> Callable[[Work], int]:
    """What a job does that pulls the sums of one API."""

    def run(work: Work) -> int:
        wanted = [pull for pull in asked(work.settings) if pull.kind == api.kind and pull.offers(api.what)]
        return _each(work, wanted, lambda pull: _sums(work, api, pull))

    return run


def _sums(work: Work, api: Api, pull: Asked) -> Iterator[Told]:
    reading = Reading(api.name, pull.name, work.now_us, work.settings.limits.max_pages)
    days = _days(api, work, read_through(work.engine, api.name, pull.name))
    with _asker(work, pull) as asker:
        yield from read_days(api.read, asker, reading, days, api.step_days)


def _days(api: Api, work: Work, through: int | None) -> Days:
    """From where it was read, and what may since have been corrected, up to the last day that the API tells of."""
    today = work.now_us // _DAY_US
    if api.now:
        return Days(today, today + 1)
    oldest = today - min(api.history_days, work.settings.limits.pull_days)
    first = oldest if through is None else max(oldest, min(through, today) - api.again_days)
    return Days(first, today if api.completed else today + 1)


def pull_prices(work: Work) -> int:
    """Reads price lists; every change becomes a dated entry, for the provider it was read from."""
    wanted = [pull for pull in asked(work.settings) if pull.kind == "openrouter" and pull.offers("prices")]
    return _each(work, wanted, lambda pull: _prices(work, pull))


def _prices(work: Work, pull: Asked) -> Iterator[PulledPrice]:
    known = standings(work.engine)
    with _asker(work, pull) as asker:
        found = listed.models(asker, pull.name)
        yield from _changed(work, found, {key: each for key, each in known.items() if key[0] == pull.name})
        for model in _worth_a_look(work, pull, {each.model for each in found}):
            at = listed.endpoints(asker, pull.name, model)
            behind = {k: each for k, each in known.items() if k[1] == model and k[0].startswith(f"{pull.name}/")}
            yield from _changed(work, at, behind)


def _changed(work: Work, found: list[listed.Listing], known: dict[tuple[str, str], Standing]) -> Iterator[PulledPrice]:
    """The entries of one list. Raises SourceError for a list that has lost most of what it had."""
    there = {(each.provider, each.model): each.sets for each in found if each.sets}
    had = {key for key, standing in known.items() if standing.sets}
    lost = sorted(had - {(each.provider, each.model) for each in found})
    if len(lost) > 3 and len(lost) > SHARE * len(had):
        raise SourceError(f"the list names {len(had) - len(lost)} of {len(had)} models that it had: not believed")
    names, book = names_of(work.settings), load_book(work.settings, pulled=())
    for (provider, model), sets in [*there.items(), *((key, ()) for key in lost)]:
        beside = [s for source in book.sources if not source.is_long for s in source.everywhere(model)]
        standing = known.get((provider, model), Standing())
        if told := change(provider, model, sets, standing, work.now_us, names, beside):
            yield told


def _worth_a_look(work: Work, pull: Asked, there: set[str]) -> list[str]:
    """The models whose single providers are looked at: those configured or used there, and listed."""
    own = [e.upstream_model or e.model for e in work.settings.endpoints if e.provider == pull.name]
    used = [row.model for row in rows(work.engine, used_models(pull.name, work.now_us - 30 * _DAY_US))]
    known = [model for model in dict.fromkeys((*own, *used)) if model in there and _SLUG.fullmatch(model)]
    return known[:MAX_ENDPOINT_MODELS]


def look_up(work: Work) -> int:
    """Asks for single calls whose usage is partial."""
    wanted = [pull for pull in asked(work.settings) if pull.kind == "openrouter" and pull.offers("generation")]
    return _each(work, wanted, lambda pull: _looked_up(work, pull), Writer.whole)


def _looked_up(work: Work, pull: Asked) -> Iterator[Call]:
    since, until = work.now_us - LOOKUP_DAYS * _DAY_US, work.now_us - 60 * SECOND_US
    waiting = rows(work.engine, partial_calls(pull.name, since, until, MAX_LOOKUPS))
    with _asker(work, pull) as asker:
        for row in waiting:
            if found := openrouter.generation(asker, pull.name, row.origin_id):
                yield found


def read_status_pages(work: Work) -> int:
    """Reads the incidents of every status page."""
    return _each(work, work.settings.status_pages, lambda page: _incidents(work, page))


def _incidents(work: Work, page: StatusPage) -> Iterator[Told]:
    with Asker(page.url, {}, _bounds(work, PAGE_S)) as asker:
        yield from incidents(asker, page.url, page.provider, work.now_us)


S = TypeVar("S", Asked, StatusPage)
R = TypeVar("R")


def _each(
    work: Work,
    wanted: Sequence[S],
    read: Callable[[S], Iterator[R]],
    put: Callable[[Writer, R], None] = Writer.tell,  # type: ignore[assignment]  # R is Told then
) -> int:
    """Journals what each address tells, side by side; raises at the end for those that failed."""
    writer = Writer(work.settings.journal_dir, SOURCE, work.settings.limits, work.settings.fsync)

    def journal(each: S) -> tuple[int, str]:
        done = 0
        try:
            for told in read(each):
                put(writer, told)
                done += 1
        except (SourceError, InputError) as error:
            return done, f"{each.name if isinstance(each, Asked) else each.provider}: {error}"
        return done, ""

    try:
        ended = side_by_side(wanted, journal, AT_ONCE)
    finally:
        writer.stop()
    if failed := [error for _, error in ended if error]:
        raise SourceError("; ".join(failed))
    return sum(done for done, _ in ended)


def _asker(work: Work, pull: Asked) -> Asker:
    key = os.environ.get(pull.key_env) if pull.key_env else None
    if pull.key_env and not key:
        raise SourceError(f"the variable {pull.key_env} of [pulls.{pull.name}] is not set where the collector runs")
    return Asker(pull.address, HEADERS[pull.kind or "openai"](key), _bounds(work, PULL_S), pull.key_env)


def _bounds(work: Work, seconds: float) -> Bounds:
    return Bounds(seconds, work.settings.limits.max_page_bytes, work.settings.limits.pull_tries)
