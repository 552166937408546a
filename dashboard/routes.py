"""Own routes beside Streamlit's: the CSV, streamed from the ledger, and a sign of life."""

from collections.abc import Iterator
from itertools import chain
from urllib.parse import urlencode

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from collector.core.errors import CallmeterError, LedgerError
from collector.core.selection import Selection, from_query, period_of, to_query
from collector.finance import export
from collector.finance.months import month_named
from collector.ledger.questions.booked import books
from dashboard.page import html

CSV_PATH, MONTH_PATH = "/export.csv", "/month.csv"
BY = ("day", "model", "provider")
PAGES = (
    "overview",
    "model",
    "providers",
    "calls",
    "spend",
    "apps",
    "finance",
    "alerts",
    "call",
    "why",
    "collector",
)  # have their own address
WITH_CHARTS = ("/", "/overview", "/model", "/providers", "/spend", "/apps")


def csv_path(selection: Selection) -> str:
    """The address of a selection's CSV: by day, model and provider, and by the group that is shown."""
    by = [*BY, *([selection.group] if selection.group not in ("", *BY) else [])]
    return f"{CSV_PATH}?{urlencode([*to_query(selection), ('by', ','.join(by))])}"


async def export_csv(request: Request) -> Response:
    """What `callmeter export` writes for the same days, zone and groups, byte for byte."""
    try:
        pages = await run_in_threadpool(_pages, request.query_params.multi_items())
    except LedgerError as error:
        return PlainTextResponse(f"{error}\n", status_code=503)
    except CallmeterError as error:
        return PlainTextResponse(f"{error}\n", status_code=400)
    headers = {"content-disposition": 'attachment; filename="callmeter.csv"', "cache-control": "no-store"}
    return StreamingResponse(pages, media_type="text/csv; charset=utf-8", headers=headers)


def _pages(query: list[tuple[str, str]]) -> Iterator[bytes]:
    """The file's pages, the first of them made already, so that a wrong request is answered as one."""
    from dashboard import cached  # Streamlit's caches are made once its runtime is there

    settings = cached.settings()
    selection = from_query(query, settings.zone)
    period = period_of(selection, cached.now_us(), settings.limits.max_query_days)
    by = tuple(dict(query).get("by", ",".join(BY)).split(","))
    engine = cached.engine(settings.ledger_url)
    pages = export.pages(engine, cached.zones(engine), export.Request(period=period, by=by, selection=selection))
    return chain([next(pages, b"")], pages)


async def month_csv(request: Request) -> Response:
    """What `callmeter export --booked` writes for a month, byte for byte; once it is closed, for ever the same."""
    name = request.query_params.get("month", "")
    try:
        pages = await run_in_threadpool(_month_pages, name)
    except LedgerError as error:
        return PlainTextResponse(f"{error}\n", status_code=503)
    except CallmeterError as error:
        return PlainTextResponse(f"{error}\n", status_code=400)
    headers = {"content-disposition": f'attachment; filename="callmeter-{name}.csv"', "cache-control": "no-store"}
    return StreamingResponse(pages, media_type="text/csv; charset=utf-8", headers=headers)


def _month_pages(name: str) -> Iterator[bytes]:
    from dashboard import cached  # as above

    settings = cached.settings()
    engine = cached.engine(settings.ledger_url)
    month = month_named(name, books(engine).zone or settings.zone)
    pages = export.pages(engine, cached.zones(engine), export.booked_request(month, finance=settings.finance))
    return chain([next(pages, b"")], pages)


async def alive(_: Request) -> Response:
    """Answers while the server runs, whatever state the ledger is in."""
    return PlainTextResponse("ok\n")


async def page(request: Request) -> Response:
    """Streamlit's page, told where its server is: at a page's own path it would first look below that, in vain."""
    return HTMLResponse(html(request.url.path in WITH_CHARTS), headers={"cache-control": "no-cache"})


ROUTES: list[BaseRoute] = [
    Route(CSV_PATH, export_csv),
    Route(MONTH_PATH, month_csv),
    Route("/healthz", alive),
    *(Route(path, page) for path in ("/", *(f"/{name}" for name in PAGES))),
]
