"""FOCUS 1.2 (https://focus.finops.org): one row per day, model, provider, key, meter and price set, as CSV.

Unknown is null, never 0, but for costs, which the specification forbids to be null: usage without a price is an
Adjustment of 0 that says x_Unpriced and how much was used. EffectiveCost adds up to the ledger's spend.
"""

import json
from collections.abc import Iterable, Iterator
from functools import lru_cache

from collector.core.meters import METERS, Meter
from collector.core.periods import day_bounds, format_day, parse_day
from collector.finance.columns import FOCUS_COLUMNS
from collector.finance.csvtext import Rows, safe_text
from collector.finance.layout import Layout, report_cells
from collector.finance.lines import ADJUSTMENT, Line
from collector.finance.months import month_named, month_of
from collector.finance.pages import pages
from collector.finance.records import instant
from collector.finance.tally import CURRENCY, Tally
from collector.finance.terms import Purchase, is_prepaid, plan_of, purchases

NONE = "(none)"  # a provider or model that is not known, where FOCUS forbids null
PREPAID = "prepaid credit"
_PAGE = 1_000
_MONEY_DIGITS = 12
# the unit of a meter -> its name in FOCUS, and how many powers of ten a priced block has
_UNITS = {
    "token": ("Tokens", 6),
    "image": ("Images", 0),
    "search": ("Searches", 0),
    "tool call": ("Tool Calls", 0),
    "function call": ("Function Calls", 0),
    "request": ("Requests", 0),
}
_DIRECTIONS = {"in": "Input", "out": "Output"}
_SKU_METERS = {
    "input": "Input Tokens",
    "cache_read": "Cache Read Input Tokens",
    "cache_write_5m": "Cache Write Input Tokens",
    "cache_write_1h": "Cache Write 1 Hour Input Tokens",
    "output": "Output Tokens",
    "reasoning": "Reasoning Output Tokens",
    "images_in": "Input Images",
    "images_out": "Output Images",
}
_BY_COLUMN = {meter.column: meter for meter in METERS.values()}
_TEXTS = [name for name, column in FOCUS_COLUMNS.items() if column.kind == "text"]
Cells = dict[str, object]


def line_items(layout: Layout, lines: Iterable[Line], tally: Tally) -> Iterator[bytes]:
    """The file: payments of its days, then a row for each line, which is grouped by FOCUS_BY or FOCUS_BOOKED_BY."""
    rows = Rows()
    yield rows.text([list(FOCUS_COLUMNS)]).encode()
    paid = list(purchases(layout.finance, layout.first_day, layout.end_day))
    tally.rows += len(paid)
    yield rows.text(_row(_purchase(layout, each)) for each in paid).encode()
    for some in pages(tally.counted(lines), _PAGE):
        yield rows.text(_row(_charge(layout, line)) for line in some).encode()


def _row(cells: Cells) -> list[object]:
    for name in _TEXTS:
        if isinstance(text := cells.get(name), str):
            cells[name] = safe_text(_ascii(text))
    return [cells.get(name) for name in FOCUS_COLUMNS]


def _ascii(text: str) -> str:
    """The text with what is not ASCII escaped, such as \\u00e9: FOCUS, StringHandling."""
    return text if text.isascii() else text.encode("ascii", "backslashreplace").decode()


def _charge(layout: Layout, line: Line) -> Cells:
    group = dict(zip(layout.by, line.group, strict=True))
    day, model, provider, key = parse_day(group["day"]), group["model"] or NONE, group["provider"], group["key"]
    booked = group.get("booking_month", month_of(day))
    cells = _common(layout, day, booked, provider) | {
        "SubAccountId": key or None,
        "SubAccountName": key or None,
        "SubAccountType": "API Key" if key else None,
        "PublisherName": model.split("/")[0] if "/" in model.strip("/") else provider or NONE,
        "ChargeFrequency": "Usage-Based",
        "ChargeClass": "Correction" if group.get("corrects") else None,
        "x_CorrectsMonth": group.get("corrects") or None,
        "x_PriceSetId": line.price_id or None,
    }
    if line.cost is None or line.unit_price is None:
        return cells | _unpriced(line, model, provider)
    priced = _stated if line.unit == ADJUSTMENT else _usage
    return cells | priced(line, model, provider) | _paid(layout, line.cost, provider, key, day)


def _common(layout: Layout, day: int, booking_month: str, provider: str) -> Cells:
    finance, zone = layout.finance, layout.period.zone
    account = finance.billing_account_id or "callmeter"
    start, end = day_bounds(day, zone)
    return {
        "BillingAccountId": account,
        "BillingAccountName": finance.billing_account_name or account,
        "BillingAccountType": "Billing Account",
        "InvoiceIssuerName": finance.invoice_issuer or provider or NONE,
        "ProviderName": provider or NONE,
        "ServiceProviderName": provider or NONE,
        "HostProviderName": provider or NONE,
        **dict(zip(("BillingPeriodStart", "BillingPeriodEnd"), _month_bounds(booking_month, zone), strict=True)),
        "ChargePeriodStart": _second(start),
        "ChargePeriodEnd": _second(end),
        "ServiceCategory": "AI and Machine Learning",
        "ServiceSubcategory": "Generative AI",
        "ServiceName": f"{provider or NONE} API",
        "BillingCurrency": CURRENCY,
        "PricingCurrency": CURRENCY,
        "x_UsageDay": format_day(day),
        "x_BookingMonth": booking_month,
    }


def _usage(line: Line, model: str, provider: str) -> Cells:
    meter = _BY_COLUMN[line.unit]
    unit, digits = _UNITS[meter.unit]
    return {
        "ChargeCategory": "Usage",
        "ChargeDescription": f"{_sku_meter(meter)} of {model} at {provider or NONE}",
        "SkuId": f"{model}-{meter.name}",
        "SkuMeter": _sku_meter(meter),
        "SkuPriceId": f"{model}-{meter.name}-{line.price_id or 'none'}",
        "SkuPriceDetails": _details(model, meter),
        "ConsumedQuantity": _decimal(line.quantity, 0),
        "ConsumedUnit": unit,
        **_price(line, f"1{'0' * digits} {unit}" if digits else unit, digits),
    }


def _stated(line: Line, model: str, provider: str) -> Cells:
    """A cost that came with its calls and is not price x quantity: one adjustment of that much, or taken back."""
    return {
        "ChargeCategory": "Adjustment",
        "ChargeDescription": f"Stated cost beyond price x quantity of {model} at {provider or NONE}",
        **_price(line, "Adjustments", 0),
    }


def _unpriced(line: Line, model: str, provider: str) -> Cells:
    nothing = _decimal(0, 0)
    return {
        "ChargeCategory": "Adjustment",
        "ChargeDescription": f"Unpriced: {line.quantity} {line.unit} of {model} at {provider or NONE}",
        **dict.fromkeys(("ListCost", "ContractedCost", "EffectiveCost", "BilledCost"), nothing),
        "PricingCurrencyEffectiveCost": nothing,
        "x_Unpriced": "true",
        "x_UnpricedQuantity": _decimal(line.quantity, 0),
        "x_UnpricedUnit": line.unit,
    }


def _price(line: Line, unit: str, digits: int) -> Cells:
    """Quantity in blocks of 10^digits, and the price of one. FOCUS forbids one below 0: it turns the quantity."""
    sign = -1 if (line.unit_price or 0) < 0 else 1
    prices = (line.unit_price or 0, line.list_price or 0)
    contracted, public = (_decimal(abs(price), _MONEY_DIGITS - digits) for price in prices)
    cost = _decimal(line.cost or 0, _MONEY_DIGITS)
    return {
        "PricingCategory": "Standard",
        "PricingQuantity": _decimal(sign * line.quantity, digits),
        "PricingUnit": unit,
        **dict.fromkeys(("ListUnitPrice", "PricingCurrencyListUnitPrice"), public),
        **dict.fromkeys(("ContractedUnitPrice", "PricingCurrencyContractedUnitPrice"), contracted),
        "ListCost": _decimal(line.quantity * prices[1], _MONEY_DIGITS),
        **dict.fromkeys(("ContractedCost", "EffectiveCost", "PricingCurrencyEffectiveCost"), cost),
    }


def _paid(layout: Layout, cost: int, provider: str, key: str, day: int) -> Cells:
    """What is billed of a cost, and the cost in the report currency."""
    plan = plan_of(layout.finance, provider, key, day)
    by = plan.name if plan else PREPAID if is_prepaid(layout.finance, provider, day) else None
    return {
        "BilledCost": _decimal(0 if by else cost, _MONEY_DIGITS),
        "x_PaidBy": by,
        "x_Notional": "true" if plan else None,
        **_report(layout, cost),
    }


def _report(layout: Layout, cost: int) -> Cells:
    names = ("x_ReportCost", "x_ReportCurrency", "x_ReportRate", "x_ReportRateDate")
    return dict(zip(names, report_cells(cost, layout.rate), strict=False))


def _purchase(layout: Layout, paid: Purchase) -> Cells:
    cost = _decimal(paid.cost, _MONEY_DIGITS)
    return _common(layout, paid.day, month_of(paid.day), paid.provider) | {
        "InvoiceId": paid.invoice_id,
        "PublisherName": paid.provider,
        "ChargeCategory": "Purchase",
        "ChargeFrequency": "Recurring" if paid.recurring else "One-Time",
        "ChargeDescription": f"{paid.what} at {paid.provider}",
        "SkuId": f"{paid.provider}-{paid.what}",
        "SkuMeter": "Credits" if not paid.recurring else "Plan",
        "SkuPriceId": f"{paid.provider}-{paid.what}-{paid.cost}",
        "PricingCategory": "Standard",
        "PricingQuantity": _decimal(1, 0),
        "PricingUnit": "Purchases",
        **dict.fromkeys(("ListUnitPrice", "ContractedUnitPrice"), cost),
        **dict.fromkeys(("PricingCurrencyListUnitPrice", "PricingCurrencyContractedUnitPrice"), cost),
        **dict.fromkeys(("ListCost", "ContractedCost", "BilledCost"), cost),
        **dict.fromkeys(("EffectiveCost", "PricingCurrencyEffectiveCost"), _decimal(0, 0)),
    }


def _sku_meter(meter: Meter) -> str:
    return (
        _SKU_METERS.get(meter.name)
        or " ".join(
            [*meter.name.removesuffix("_tokens").split("_"), *(["tokens"] if meter.unit == "token" else [])]
        ).title()
    )


@lru_cache(maxsize=10_000)
def _details(model: str, meter: Meter) -> str:
    details = {"x_ModelId": model, "x_Modality": meter.modality, "x_TokenDirection": _DIRECTIONS.get(meter.direction)}
    if meter.unit == "token":
        details["x_TokenCacheAction"] = meter.cache.title() or "Uncached"
    return json.dumps({name: text for name, text in details.items() if text}, separators=(",", ":"))


@lru_cache(maxsize=1_000)
def _month_bounds(name: str, zone: str) -> tuple[str, str]:
    period = month_named(name, zone).period
    return _second(period.start_us), _second(period.end_us)


def _second(us: int) -> str:
    return f"{instant(us)[:19]}Z"


def _decimal(whole: int, digits: int) -> str:
    """Exact text of whole / 10^digits, always with a point: validators read columns of whole numbers as integers."""
    sign, figures = "-" if whole < 0 else "", f"{abs(whole):0{digits + 1}d}"
    fraction = figures[len(figures) - digits :].rstrip("0")
    return f"{sign}{figures[: len(figures) - digits]}.{fraction or '0'}"
