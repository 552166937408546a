"""What it cost, and what could not be priced, per local day. Days without calls are absent."""

from collections.abc import Collection

from sqlalchemy import case

from collector.core.meters import INPUT_TOKENS, METERS, OUTPUT_TOKENS
from collector.core.periods import Period
from collector.core.selection import Selection
from collector.ledger.questions.ask import Question
from collector.ledger.questions.by_day import per_day
from collector.ledger.questions.cells import ENDINGS, choose
from collector.ledger.questions.leading import LEADERS
from collector.settings import Limits


def spend_per_day(
    selection: Selection, period: Period, zones: Collection[str], limits: Limits, leaders: int = LEADERS
) -> Question:
    """Spend per local day, by name when the selection groups; by user, for `leaders` by cost and by tokens.

    Columns: day (days since 1970), group and label when grouped, calls, cost_picousd, unpriced_calls,
    reported_calls and reported_cost_picousd (for how many calls a provider said what it charged, and how much).
    Raises UsageError where it would read too many single calls.
    """
    by = {selection.group} - {""}
    source = choose(selection, period, zones, by, limits.row_query_days, apart=ENDINGS, leaders=leaders)
    calls = source.amount("calls")
    sums = {
        "calls": calls,
        "cost_picousd": source.amount("cost"),
        "unpriced_calls": case((source.key("reason") != 0, calls), else_=0),
        "reported_calls": source.amount("reported_calls"),
        "reported_cost_picousd": source.amount("reported_cost"),
    }
    return per_day(selection, source, selection.group, sums)


def unpriced_per_day(selection: Selection, period: Period, zones: Collection[str], limits: Limits) -> Question:
    """The calls without a price per local day, by reason: their number and what they used.

    Columns: day, group and label (the reason), calls, tokens_in and tokens_out (all meters of that side), then the
    columns of METERS. Raises UsageError where it would read too many single calls.
    """
    source = choose(selection, period, zones, (), limits.row_query_days, apart=ENDINGS)
    sums = {
        "calls": source.amount("calls"),
        "tokens_in": source.meters(INPUT_TOKENS),
        "tokens_out": source.meters(OUTPUT_TOKENS),
        **{meter.column: source.meter(name) for name, meter in METERS.items()},
    }
    return per_day(selection, source, "reason", sums, source.key("reason") != 0)
