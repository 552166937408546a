"""The sections of a model's page, top down."""

from typing import Any

import msgspec
import streamlit as st

from collector.core.periods import SECOND_US, parse_period
from collector.core.selection import Selection
from collector.ledger.questions.offers import Offer
from dashboard import cached, texts
from dashboard.figures import bars
from dashboard.frames import axis as axes
from dashboard.frames import effective, model, models, samples, usage
from dashboard.theme import COLOR
from dashboard.views import empty, parts, scope

ACTIVITY = "90d"
APP_SPANS = {"This week": "7d", "This month": "30d"}
UPTIME_SPANS = {"24 h": "24h", "72 h": "72h", "90 d": "90d"}


def every_model(its: scope.Scope) -> None:
    """All models that calls name or that callmeter knows, to choose from."""
    by_model = msgspec.structs.replace(its.selection, group="model")
    answer = cached.answers(("tokens", "spend"), by_model, its.period(), its.settings)
    if not answer["tokens"].rows:
        empty.no_calls(its, answer["tokens"].refusal)
        st.text("Any model that callmeter knows can be chosen above.")
        return
    table = models.model_table(answer["tokens"].rows, answer["spend"].rows, zone=its.selection.zone)
    with st.container(border=True):
        parts.heading("Models with calls in this period", f"{texts.count(len(table), 'model')}, most tokens first")
        parts.rows(table, "models", "Models by tokens", links=[models.LINK], height="content")
    st.text("Choose any other model above.")


def show(its: scope.Scope, name: str, now_us: int) -> None:
    """The parts of the page that change while calls come in."""
    zone = its.selection.zone
    day = parse_period("24h", zone, now_us)
    by_provider = Selection("24h", zone, models=(name,), group="provider")
    status = cached.answers(("status", "speed"), by_provider, day, its.settings)
    standing = model.standings(status["status"].rows, status["speed"].rows, now_us // SECOND_US)
    seen = _providers_of(name, zone, its, now_us)
    catalog = cached.catalog(its.settings)
    offers = catalog.offers(name, [*standing, *seen], now_us)
    card = catalog.known(name)
    _head(name, card, offers)
    with st.container(border=True):
        _offers(offers, standing, card)
    parts.pairs(
        [
            lambda: _speed(its, name, now_us),
            lambda: _uptime(its, name, now_us),
            lambda: _activity(its, name, now_us),
            lambda: _apps(its, name, now_us),
        ]
    )
    with st.container(border=True):
        _effective(its, name, offers)


def _providers_of(name: str, zone: str, its: scope.Scope, now_us: int) -> list[str]:
    """Where the model was asked in the last 90 days, the provider with most attempts first."""
    period = parse_period(ACTIVITY, zone, now_us)
    rows = cached.answers(("providers",), Selection(ACTIVITY, zone, models=(name,)), period, its.settings)
    counts: dict[str, int] = {}
    for row in rows["providers"].rows:
        counts[row.group] = counts.get(row.group, 0) + row.ok + row.provider_fault
    return sorted(filter(None, counts), key=lambda provider: (-counts[provider], provider))


def _head(name: str, card: Any, offers: list[Offer]) -> None:
    with st.container(border=True, key="model_head"):
        st.subheader(parts.words(card.name) if card and card.name else "A model that nobody describes", anchor=False)
        st.code(name, language=None, wrap_lines=True)
        st.text(f"Description: {(card and card.description) or model.NOT_KNOWN}")
        facts = model.facts(card, [offer.price for offer in offers if offer.price])
        with st.grid(len(facts), min_column_width=140, key="facts"):
            for fact in facts:
                st.metric(fact.label, parts.words(fact.value))


def _offers(offers: list[Offer], standing: dict[str, model.Standing], card: Any) -> None:
    says = f"A call goes to one that is up and takes over from one that fails. {model.headline(standing)}"
    parts.heading("Providers", says)
    if not offers:
        st.text("No provider of this model is in callmeter.toml, and none was asked in 90 days.")
        return
    table = model.offer_table(offers, standing, card)
    parts.rows(table, "offers", "Providers of the model", height="content")
    for offer in offers:
        if offer.no_price:
            st.text(f"{offer.provider}: {offer.no_price}")


def _speed(its: scope.Scope, name: str, now_us: int) -> None:
    period = its.period()
    selection = msgspec.structs.replace(its.selection, models=(name,), group="provider")
    parts.speed(cached.answers(("speed",), selection, period, its.settings)["speed"], period, now_us, "Provider")


def _uptime(its: scope.Scope, name: str, now_us: int) -> None:
    title = "Uptime across all providers"
    (span,) = parts.choices(title, uptime=UPTIME_SPANS)
    period = parse_period(UPTIME_SPANS[span], its.selection.zone, now_us)
    selection = Selection(UPTIME_SPANS[span], its.selection.zone, models=(name,))
    answer = cached.answers(("router",), selection, period, its.settings)["router"]
    parts.router(title, answer, period, now_us, "uptime", is_titled=True)


def _activity(its: scope.Scope, name: str, now_us: int) -> None:
    period = parse_period(ACTIVITY, its.selection.zone, now_us)
    selection = Selection(ACTIVITY, its.selection.zone, models=(name,))
    rows = cached.answers(("tokens",), selection, period, its.settings)["tokens"].rows
    title = "Recent activity: tokens per day, 90 days"
    if not rows:
        parts.absent(title, "No calls of this model in 90 days.")
        return
    axis = axes.day_axis(period, now_us)
    colors = dict(zip(model.SIDES, (COLOR["accent"], COLOR["fifth"], COLOR["second"], COLOR["fourth"]), strict=True))
    figure = bars.stacked(model.activity(rows, axis), axis, model.SIDES, colors)
    parts.chart(title, model.activity_says(rows), figure, usage.token_table(rows, axis, ""), "activity")


def _apps(its: scope.Scope, name: str, now_us: int) -> None:
    (span,) = parts.choices("Apps that use it", apps=APP_SPANS)
    text = APP_SPANS[span]
    selection = Selection(text, its.selection.zone, models=(name,), group="app")
    answer = cached.answers(("tokens",), selection, parse_period(text, its.selection.zone, now_us), its.settings)
    table = model.app_table(answer["tokens"].rows)
    parts.heading("", f"{texts.count(len(table), 'app')} in the last {text[:-1]} days, most tokens first")
    if len(table):
        parts.rows(table, "apps", "Apps that use the model", sites=[model.APP_LINK])


def _effective(its: scope.Scope, name: str, offers: list[Offer]) -> None:
    title = "What was paid, beside the list price"
    selection = msgspec.structs.replace(its.selection, models=(name,))
    rows = cached.answers(("prices",), selection, its.period(), its.settings)["prices"].rows
    bodies = cached.price_bodies(frozenset(row.price for row in rows if row.price), its.settings.ledger_url)
    paid = effective.paid_by_provider(rows, bodies)
    if not paid:
        parts.absent(title, "No call of this model in this period has a price.")
        return
    listed = {offer.provider: offer.price for offer in offers if offer.price}
    parts.heading(title, effective.says(paid))
    parts.rows(effective.effective_table(paid, listed), "effective", "Effective and listed prices by provider")


def how_to_ask(its: scope.Scope, name: str) -> None:
    """Sample code and the fields of a request; it does not change while calls come in."""
    base_url = cached.gateway_url(its.settings) or empty.DEFAULT_GATEWAY
    with st.container(border=True):
        parts.heading("Sample code", f"Through this gateway, {texts.for_markdown(base_url)}")
        made = {
            "Python": (samples.python_text, "python"),
            "Python, image": (samples.python_image, "python"),
            "curl": (samples.curl_text, "bash"),
            "curl, image": (samples.curl_image, "bash"),
        }
        for tab, (write, language) in zip(st.tabs(list(made)), made.values(), strict=True):
            tab.code(write(name, base_url), language=language, wrap_lines=True)
    with st.container(border=True):
        table = samples.field_table(cached.catalog(its.settings).offers(name, (), cached.now_us()))
        parts.heading("What a request may hold", samples.fields_say(table))
        parts.rows(table, "fields", "Fields of a request", height="content")
