"""Money is whole picodollars (10^-12 USD) in an int, and decimal text at the edges.

$10 per million tokens is 10,000,000 p$ a token; $14.45 per thousand images is 14,450,000,000 p$ an image.
No float ever holds money.
"""

from decimal import ROUND_HALF_EVEN, Context, Decimal, InvalidOperation

from collector.core.errors import InputError

PICODOLLARS = 10**12
MICRODOLLAR = 10**6  # in picodollars
MAX_COST = 100_000 * PICODOLLARS  # of one call: the sums of a cell stay whole numbers that a database holds
_EXACT = Context(prec=80)


def parse_usd(text: str) -> int:
    """Picodollars of a decimal amount in USD, such as "0.0539", "-1.5" or "2.5e-06".

    A fraction of a picodollar is rounded half-even.
    Raises InputError for text that is not a finite decimal number.
    """
    return _whole(_picodollars(text))


def parse_unit_price(text: str, per: int) -> int:
    """Picodollars per unit of a listed price: `parse_unit_price("10", per=1_000_000)` is 10,000,000.

    A listed price that is not whole picodollars is rounded half-even, once, here.
    Raises InputError for text that is not a finite decimal number.
    """
    return _whole(_EXACT.divide(_picodollars(text), Decimal(per)))


def format_usd(picousd: int) -> str:
    """Exact decimal text of picodollars: no exponent, no trailing zeros, "0" for nothing."""
    sign = "-" if picousd < 0 else ""
    whole, fraction = divmod(abs(picousd), PICODOLLARS)
    digits = f"{fraction:012d}".rstrip("0")
    return f"{sign}{whole}.{digits}" if digits else f"{sign}{whole}"


def _picodollars(text: str) -> Decimal:
    try:
        number = _EXACT.create_decimal(text)
    except InvalidOperation:
        number = Decimal("nan")
    if not number.is_finite() or abs(number.adjusted()) > 40:
        raise InputError(f"{text[:40]!r} is not an amount of money: write a decimal number such as 0.0539")
    return _EXACT.multiply(number, PICODOLLARS)


def _whole(number: Decimal) -> int:
    return int(number.to_integral_value(ROUND_HALF_EVEN))
