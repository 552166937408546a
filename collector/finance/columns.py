"""COLUMNS: every column of every file for finance, in order, with its kind and meaning."""

from collections.abc import Iterator

import msgspec

from collector.core.meters import COMMON_METERS, METERS
from collector.finance.aligned import aligned


class Column(msgspec.Struct, frozen=True):
    """One column. `kind`: text, json, integer, decimal, instant, day, flag; only text is made safe for spreadsheets."""

    name: str
    kind: str
    meaning: str
    table: str  # of which files it is: one of _TITLES


def _meter_columns() -> list[Column]:
    return [
        Column(METERS[name].column, "integer", f"{METERS[name].unit}s, disjoint; empty: not stated", "call")
        for name in COMMON_METERS
    ]


COLUMNS: tuple[Column, ...] = (
    Column("day", "day", "local date of the call's start, in the manifest's zone", "group"),
    Column("model", "text", "model as asked for", "group"),
    Column("provider", "text", "provider of the last attempt", "group"),
    Column("app", "text", "application, by HTTP-Referer or X-Title", "group"),
    Column("key", "text", "gateway key", "group"),
    Column("user", "text", "the `user` field of the request", "group"),
    Column("booking_month", "text", "month that books the line; day is the day of usage", "booked"),
    Column("corrects", "text", "closed month that the line corrects; empty: usage of the booking month", "booked"),
    Column("unit", "text", "meter that was charged, or `adjustment`: stated cost beyond price x quantity", "line"),
    Column("quantity", "integer", "how many units", "line"),
    Column("unit_price_usd", "decimal", "price of one unit; empty: unpriced", "line"),
    Column("cost_usd", "decimal", "quantity x unit_price_usd, exactly; empty: unpriced", "line"),
    Column("currency", "text", "always USD", "line"),
    Column("price_id", "text", "price set that was used; empty: none was", "line"),
    Column(
        "report_cost_rounded",
        "decimal",
        "cost_usd x report_rate, rounded to 6 places line by line: does not add up, tie out by cost_usd",
        "report",
    ),
    Column("report_currency", "text", "[finance] report_currency", "report"),
    Column("report_rate", "decimal", "what one USD was, by [[finance.rates]]", "report"),
    Column("report_rate_date", "day", "the day of that rate: the newest before the end of the file", "report"),
    Column("id", "text", "call, 32 hex digits, ordered by time", "call"),
    Column("started_at", "instant", "UTC, to the microsecond", "call"),
    Column("source", "text", "who told of the call", "call"),
    Column("origin_id", "text", "the provider's response id", "call"),
    Column("operation", "text", "chat, embeddings, ...", "call"),
    Column("model", "text", "model as asked for", "call"),
    Column("served_model", "text", "model as the provider named it", "call"),
    Column("provider", "text", "provider of the last attempt", "call"),
    Column("app", "text", "application, by HTTP-Referer or X-Title", "call"),
    Column("key", "text", "gateway key", "call"),
    Column("user", "text", "the `user` field of the request", "call"),
    Column("streamed", "flag", "1: the answer came as a stream", "call"),
    Column("outcome", "text", "whose fault it was", "call"),
    Column("http_status", "integer", "of the last attempt", "call"),
    Column("error_type", "text", "of the last attempt", "call"),
    Column("finish_reason", "text", "stop, length, tool_calls, content_filter, error", "call"),
    Column("attempts", "integer", "how many providers were tried", "call"),
    Column("latency_ms", "integer", "the whole call", "call"),
    Column("first_token_ms", "integer", "streams only", "call"),
    *_meter_columns(),
    Column("usage_quality", "text", "exact, partial, estimated, none", "call"),
    Column("cost_picousd", "integer", "10^-12 USD; empty: unpriced", "call"),
    Column("cost_usd", "decimal", "the same, exactly", "call"),
    Column("original_cost_picousd", "integer", "before corrections", "call"),
    Column("unpriced_reason", "text", "why there is no cost", "call"),
    Column("reported_cost_picousd", "integer", "what the provider said it charged; never part of the cost", "call"),
    Column("price_id", "text", "price set that was used", "call"),
    Column("BillingAccountId", "text", "[finance] billing_account_id", "focus"),
    Column("BillingAccountName", "text", "[finance] billing_account_name, else the id", "focus"),
    Column("BillingAccountType", "text", "always Billing Account", "focus"),
    Column("SubAccountId", "text", "gateway key; null: none was used", "focus"),
    Column("SubAccountName", "text", "gateway key", "focus"),
    Column("SubAccountType", "text", "API Key", "focus"),
    Column("InvoiceIssuerName", "text", "[finance] invoice_issuer, else the provider", "focus"),
    Column("InvoiceId", "text", "of a prepaid credit that states one", "focus"),
    Column("ProviderName", "text", "provider of the last attempt, or (none)", "focus"),
    Column("ServiceProviderName", "text", "the same: a column of FOCUS 1.3", "focus"),
    Column("HostProviderName", "text", "the same: a column of FOCUS 1.3", "focus"),
    Column("PublisherName", "text", "the model's maker: its name up to the /, else the provider", "focus"),
    Column("BillingPeriodStart", "instant", "first instant of the booking month, in UTC", "focus"),
    Column("BillingPeriodEnd", "instant", "first instant after it", "focus"),
    Column("ChargePeriodStart", "instant", "first instant of the day of usage in the manifest's zone, in UTC", "focus"),
    Column("ChargePeriodEnd", "instant", "first instant after it", "focus"),
    Column(
        "ChargeCategory",
        "text",
        "Usage; Purchase: a credit or a plan's fee; Adjustment: cost stated beyond price x quantity, or unpriced usage",
        "focus",
    ),
    Column("ChargeClass", "text", "Correction: of a closed month; null otherwise", "focus"),
    Column("ChargeFrequency", "text", "Usage-Based, One-Time, Recurring", "focus"),
    Column("ChargeDescription", "text", "what is charged, in words", "focus"),
    Column("ServiceCategory", "text", "always AI and Machine Learning", "focus"),
    Column("ServiceSubcategory", "text", "always Generative AI", "focus"),
    Column("ServiceName", "text", "the provider's API", "focus"),
    Column("SkuId", "text", "model and meter", "focus"),
    Column("SkuMeter", "text", "the meter, such as Cache Read Input Tokens", "focus"),
    Column("SkuPriceId", "text", "price set and meter", "focus"),
    Column("SkuPriceDetails", "json", "x_ModelId, x_TokenDirection, x_TokenCacheAction, x_Modality", "focus"),
    Column("PricingCategory", "text", "Standard", "focus"),
    Column(
        "PricingQuantity", "decimal", "in priced blocks: millions of tokens; below 0 in what is taken back", "focus"
    ),
    Column("PricingUnit", "text", "1000000 Tokens, Images, ...", "focus"),
    Column(
        "ListUnitPrice",
        "decimal",
        "price of a block by the public list, where an own price (prices.toml, callmeter.toml) stands in for one that"
        " is known; else the contracted one",
        "focus",
    ),
    Column("ContractedUnitPrice", "decimal", "price of a block by the price set that was used", "focus"),
    Column(
        "ListCost", "decimal", "PricingQuantity x ListUnitPrice, exactly; less ContractedCost: the discount", "focus"
    ),
    Column("ContractedCost", "decimal", "PricingQuantity x ContractedUnitPrice, exactly", "focus"),
    Column("EffectiveCost", "decimal", "the same; 0 for Purchase: its sum is the ledger's spend", "focus"),
    Column("BilledCost", "decimal", "the same; 0 where a credit or a flat plan pays", "focus"),
    Column("BillingCurrency", "text", "always USD", "focus"),
    Column("PricingCurrency", "text", "always USD", "focus"),
    Column("PricingCurrencyListUnitPrice", "decimal", "ListUnitPrice", "focus"),
    Column("PricingCurrencyContractedUnitPrice", "decimal", "ContractedUnitPrice", "focus"),
    Column("PricingCurrencyEffectiveCost", "decimal", "EffectiveCost", "focus"),
    Column("ConsumedQuantity", "decimal", "tokens, images, ...", "focus"),
    Column("ConsumedUnit", "text", "Tokens, Images, ...", "focus"),
    Column("CommitmentDiscountStatus", "text", "always null", "focus"),
    Column("Tags", "json", "always null", "focus"),
    Column("x_UsageDay", "day", "local day of usage", "focus"),
    Column("x_BookingMonth", "text", "month that books the row", "focus"),
    Column("x_CorrectsMonth", "text", "closed month that the row corrects", "focus"),
    Column("x_PriceSetId", "text", "price set that was used", "focus"),
    Column("x_Unpriced", "text", "true: no price is known; costs are 0 because FOCUS forbids null", "focus"),
    Column("x_UnpricedQuantity", "decimal", "how much of it was used", "focus"),
    Column("x_UnpricedUnit", "text", "and in which unit of callmeter", "focus"),
    Column(
        "x_PaidBy",
        "text",
        "prepaid credit, however little is left of it (the manifest says), or the name of the flat plan",
        "focus",
    ),
    Column("x_Notional", "text", "true: metered under a flat plan, not billed", "focus"),
    Column("x_ReportCost", "decimal", "EffectiveCost x x_ReportRate, rounded: does not add up", "focus"),
    Column("x_ReportCurrency", "text", "[finance] report_currency", "focus"),
    Column("x_ReportRate", "decimal", "what one USD was, by [[finance.rates]]", "focus"),
    Column("x_ReportRateDate", "day", "the day of that rate", "focus"),
)
GROUP_COLUMNS = {column.name: column for column in COLUMNS if column.table == "group"}
BOOKED_BY = ("day", "booking_month", "corrects", "model", "provider", "app", "key")  # of every file of a month
BY_COLUMNS = {column.name: column for column in COLUMNS if column.table in ("group", "booked")}
FOCUS_BY = ("day", "model", "provider", "key")
FOCUS_BOOKED_BY = ("day", "booking_month", "corrects", "model", "provider", "key")
LINE_COLUMNS = {column.name: column for column in COLUMNS if column.table == "line"}
REPORT_COLUMNS = {column.name: column for column in COLUMNS if column.table == "report"}
FOCUS_COLUMNS = {column.name: column for column in COLUMNS if column.table == "focus"}
CALL_COLUMNS = {column.name: column for column in COLUMNS if column.table == "call"}
_TITLES = {
    "group": "Line items, as asked for by --by:",
    "booked": "Files of months (--booked), after the day:",
    "line": "Line items and files of months, always:",
    "report": "After them, where [finance] report_currency is set:",
    "call": "Single calls (--calls):",
    "focus": "FOCUS 1.2 (--format focus), a row per day, model, provider, key, meter and price set:",
}


def describe() -> Iterator[str]:
    """The documentation of COLUMNS: a line for each, under the title of its table."""
    for table, title in _TITLES.items():
        yield title
        rows = [(c.name, c.kind, c.meaning) for c in COLUMNS if c.table == table]
        yield from aligned(rows, left=frozenset({0, 1, 2}), indent="  ")
