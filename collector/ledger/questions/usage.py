"""How much was used: calls, tokens and images, per local day. Days without calls are absent.

Each question raises UsageError where it would read too many single calls. Columns: day (days since 1970); group (a
name, "" for none) and label (what a screen shows for it) when the selection groups; then what the question states.
By user only those that lead by tokens or by cost have rows of their own; group is None in those of all others.
"""

from collections.abc import Collection

from sqlalchemy import Subquery, case, func, literal_column, select

from collector.core.meters import INPUT_TOKENS, METERS, OUTPUT_TOKENS
from collector.core.money import MICRODOLLAR
from collector.core.outcomes import OUTCOME_CODES
from collector.core.periods import Period
from collector.core.selection import Selection
from collector.ledger.questions.ask import Question
from collector.ledger.questions.by_day import per_day
from collector.ledger.questions.cells import ENDINGS, Source, choose, chosen
from collector.ledger.questions.leading import user_sums
from collector.ledger.questions.terms import Number, plain
from collector.ledger.schema import USER_SUMS, names, user_spans
from collector.settings import Limits

CACHED_TOKENS = tuple(m.name for m in METERS.values() if m.unit == "token" and m.cache == "read")


def tokens_per_day(selection: Selection, period: Period, zones: Collection[str], limits: Limits) -> Question:
    """Tokens per local day.

    Columns: calls, tokens_in and tokens_out (all meters of that side), and their subsets tokens_cached (read from a
    cache) and tokens_reasoning.
    """
    source = _source(selection, period, zones, limits)
    sums = {
        "calls": source.amount("calls"),
        "tokens_in": source.meters(INPUT_TOKENS),
        "tokens_out": source.meters(OUTPUT_TOKENS),
        "tokens_cached": source.meters(CACHED_TOKENS),
        "tokens_reasoning": source.meter("reasoning"),
    }
    return per_day(selection, source, selection.group, sums)


def images_per_day(selection: Selection, period: Period, zones: Collection[str], limits: Limits) -> Question:
    """Images per local day: calls, images_in, images_out."""
    source = _source(selection, period, zones, limits)
    sums = {"calls": source.amount("calls"), **{name: source.meter(name) for name in ("images_in", "images_out")}}
    return per_day(selection, source, selection.group, sums)


def meters_per_day(selection: Selection, period: Period, zones: Collection[str], limits: Limits) -> Question:
    """Every meter per local day: calls, then the columns of METERS (disjoint: input_tokens are the fresh ones)."""
    source = _source(selection, period, zones, limits)
    sums = {meter.column: source.meter(name) for name, meter in METERS.items()}
    return per_day(selection, source, selection.group, {"calls": source.amount("calls"), **sums})


def outcomes_per_day(selection: Selection, period: Period, zones: Collection[str], limits: Limits) -> Question:
    """Calls per local day by outcome: one column per outcome, under its name."""
    source = _source(selection, period, zones, limits)
    calls, outcome = source.amount("calls"), source.key("outcome")
    sums = {name.value: case((outcome == code, calls), else_=0) for name, code in OUTCOME_CODES.items()}
    return per_day(selection, source, selection.group, sums)


def used_by_name(selection: Selection, period: Period, zones: Collection[str], limits: Limits) -> Question:
    """What each name that the selection groups by used in the whole period, in no order; none is folded.

    Columns: group, label, calls, unpriced_calls, tokens_in, tokens_out, and the cost in two parts, so that neither
    overflows: microdollars and picodollars beside them.
    """
    source = _source(selection, period, zones, limits)
    if source.leaders is not None and not selection.users:
        sums = user_sums(period, {name: user_spans.c[name] for name in USER_SUMS}).subquery("sums")
        return _with_names(sums, sums.c.user)
    calls = source.amount("calls")
    counts = {
        "calls": calls,
        "unpriced_calls": case((source.key("reason") != 0, calls), else_=0),
        "tokens_in": source.meters(INPUT_TOKENS),
        "tokens_out": source.meters(OUTPUT_TOKENS),
    }
    cost = source.amount("cost")
    parts = {"microdollars": cost // plain(MICRODOLLAR), "picodollars": cost % plain(MICRODOLLAR)}
    added = [func.sum(value).label(label) for label, value in (counts | parts).items()]
    key = source.key(selection.group).label("group_id")  # not the name of any column
    sums = select(key, *added).where(chosen(selection, source)).group_by(literal_column("group_id")).subquery("sums")
    return _with_names(sums, sums.c.group_id)


def _with_names(sums: Subquery, its_id: Number) -> Question:
    columns = [column for column in sums.c if column is not its_id]
    label = func.coalesce(names.c.label, names.c.name, "").label("label")
    named = select(func.coalesce(names.c.name, "").label("group"), label, *columns)
    return named.select_from(sums.outerjoin(names, names.c.id == its_id))


def _source(selection: Selection, period: Period, zones: Collection[str], limits: Limits) -> Source:
    return choose(selection, period, zones, {selection.group} - {""}, limits.row_query_days, apart=ENDINGS)
