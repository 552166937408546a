"""GET metrics: the books as Prometheus reads them; whoever is asked tells the same, and labels are bounded."""

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from collector.core import histograms
from collector.core.outcomes import Outcome
from collector.core.prices import PriceBook
from collector.intake.gateway.operations import SURFACES
from collector.intake.gateway.pages.metrics import BOUNDS_S, MAX_NAMES, OTHER, bounded, cumulative, page
from collector.intake.gateway.pages.served import Asked, Sources
from collector.ledger.engines import open_ledger
from collector.ledger.ingest import drain
from collector.ledger.journal import Writer
from collector.settings import Limits, Settings
from tests.gateway.live import Live, chat, gateway, plain, run, until
from tests.gateway.test_upstream import Provider
from tests.stored import BOOK, NOW_US, store
from tests.tables import call, calls

ASKED = Asked(SURFACES[0], {}, b"", NOW_US)
TABLE = """
10:00 openai m 1000/500 ok 800ms first_token_ms=90 streamed=1
10:01 openai m 10/5 ok 4000ms user=a
10:02 openai m - provider_fault 30ms
10:03 dear m 10/5 ok 200ms attempts=openai:rate_limited,dear:ok
10:04 - m - refused
"""


def sources(folder: Path, refusals: dict[str, int] | None = None) -> Sources:
    settings = Settings(data_dir=folder, ledger_url=f"sqlite:///{folder / 'callmeter.db'}")
    return Sources(settings, PriceBook(), lambda: refusals or {})


def samples(asked: Sources) -> dict[str, float]:
    """Every sample, by its name and labels as they are written."""
    text = page(asked, ASKED).body.decode()
    found = {}
    for family in text_string_to_metric_families(text):
        assert family.documentation, family.name
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


def test_the_books_are_told_and_add_up(tmp_path: Path) -> None:
    store(tmp_path, calls(TABLE)).dispose()
    found = samples(sources(tmp_path, {"foreign_host": 3}))
    told = [
        found[f"callmeter_calls_{name}{{source=test}}"] for name in ("stored_total", "merged_total", "open", "waiting")
    ]
    told.append(found["callmeter_calls_rejected_total{source=test}"])
    assert found["callmeter_calls_accepted_total{source=test}"] == sum(told) == 5
    assert found["callmeter_calls_uncounted_total{source=test}"] == 0
    assert found["callmeter_refusals_total{reason=foreign_host}"] == 3
    assert found["callmeter_info{version=0.1.0}"] == 1


def test_calls_attempts_spend_and_times(tmp_path: Path) -> None:
    store(tmp_path, calls(TABLE)).dispose()
    found = samples(sources(tmp_path))
    by_outcome = {o: found[f"callmeter_calls_total{{outcome={o}}}"] for o in Outcome}
    assert {o: n for o, n in by_outcome.items() if n} == {"ok": 3, "provider_fault": 1, "refused": 1}
    attempts = {
        (provider, outcome): found[f"callmeter_attempts_total{{outcome={outcome},probe=0,provider={provider}}}"]
        for provider in ("openai", "dear")
        for outcome in ("ok", "provider_fault", "rate_limited")
    }
    assert {key: n for key, n in attempts.items() if n} == {
        ("openai", "ok"): 2,
        ("openai", "provider_fault"): 1,
        ("openai", "rate_limited"): 1,
        ("dear", "ok"): 1,
    }
    assert found["callmeter_spend_usd_total"] == pytest.approx(0.0253 + 0.0005, rel=0.01)
    assert found["callmeter_latency_seconds_count{provider=openai}"] == 2
    assert found["callmeter_latency_seconds_bucket{le=1.0,provider=openai}"] == 1
    assert found["callmeter_latency_seconds_bucket{le=+Inf,provider=openai}"] == 2
    assert found["callmeter_latency_seconds_sum{provider=openai}"] == pytest.approx(4.8, rel=0.025)
    assert found["callmeter_first_token_seconds_bucket{le=0.1,provider=openai}"] == 1
    assert found["callmeter_ledger_bytes"] > 10_000


def test_spend_of_all_days_may_be_more_than_64_bits_hold(tmp_path: Path) -> None:
    dear = [call(f"2026-10-0{1 + n % 2}T12:00 openai m 1/1 ok cost={10**17} user=u{n}") for n in range(100)]
    store(tmp_path, dear).dispose()
    found = samples(sources(tmp_path))
    assert found["callmeter_spend_usd_total"] == 10_000_000
    assert found["callmeter_calls_total{outcome=ok}"] == 100


def test_what_waits_in_the_journal_is_told_before_and_after_there_is_a_ledger(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "journal", "gateway", Limits(), "interval")
    asked = sources(tmp_path)
    for n, each in enumerate(calls(TABLE), start=1):
        writer.whole(each)
        asked.metrics = 0.0, b""
        assert samples(asked)["callmeter_calls_waiting{source=gateway}"] == n
    assert "callmeter_ledger_bytes" not in samples(asked)
    assert samples(asked)["callmeter_journal_bytes"] > 0
    engine = open_ledger(asked.settings.ledger_url, create=True)
    asked.metrics = 0.0, b""
    assert samples(asked)["callmeter_calls_accepted_total{source=gateway}"] == 5
    drain(engine, tmp_path / "journal", BOOK, Limits(), NOW_US)
    writer.open(call("11:00 - m - interrupted"))
    asked.metrics = 0.0, b""
    found = samples(asked)
    names = ("accepted_total", "stored_total", "waiting", "open", "rejected_total")
    assert [found[f"callmeter_calls_{name}{{source=gateway}}"] for name in names] == [6, 5, 1, 0, 0]
    drain(engine, tmp_path / "journal", BOOK, Limits(), NOW_US)
    asked.metrics = 0.0, b""
    found = samples(asked)
    assert [found[f"callmeter_calls_{name}{{source=gateway}}"] for name in names] == [6, 5, 0, 1, 0]
    assert found == samples(sources(tmp_path))  # another worker, who reads it all anew
    engine.dispose()
    writer.stop()


def test_they_are_made_once_for_readers_that_come_together(tmp_path: Path) -> None:
    asked = sources(tmp_path)
    first = page(asked, ASKED)
    store(tmp_path, calls(TABLE)).dispose()
    assert page(asked, ASKED).body == first.body
    assert page(asked, ASKED).content_type.startswith("text/plain; version=")


def test_a_ledger_that_was_put_in_place_of_another_is_read(tmp_path: Path) -> None:
    for name, lines in (("before", "10:00 p m 1/1 ok 5ms"), ("after", TABLE)):
        (tmp_path / name).mkdir()
        store(tmp_path / name, calls(lines)).dispose()
    asked = sources(tmp_path / "before")
    assert samples(asked)["callmeter_calls_stored_total{source=test}"] == 1
    (tmp_path / "after" / "callmeter.db").replace(tmp_path / "before" / "callmeter.db")
    for left in (tmp_path / "before").glob("callmeter.db-*"):
        left.unlink()
    asked.metrics = 0.0, b""
    assert samples(asked)["callmeter_calls_stored_total{source=test}"] == 5


def test_labels_from_outside_are_bounded_and_escaped(tmp_path: Path) -> None:
    one, names = call("10:00 p m 1/1 ok 5ms"), ['a"b\\c{}', *(f"provider-{n}" for n in range(200))]
    store(tmp_path, (msgspec.structs.replace(one, id=f"{n:032x}", provider=p) for n, p in enumerate(names))).dispose()
    found = samples(sources(tmp_path))
    counted = {name: n for name, n in found.items() if name.startswith("callmeter_attempts_total{outcome=ok,probe=0")}
    assert (len(counted), sum(counted.values())) == (MAX_NAMES, 201)
    timed = [name for name in found if name.startswith("callmeter_latency_seconds_count")]
    assert len(timed) <= MAX_NAMES


@given(st.lists(st.tuples(st.text(max_size=3) | st.none(), st.integers(0, 99)), max_size=150))
def test_bounding_names_loses_no_count(counts: list[tuple[str | None, int]]) -> None:
    found = bounded(counts)
    assert len(found) <= MAX_NAMES
    assert sum(found.values()) == sum(n for _, n in counts)


def test_the_largest_keep_their_names() -> None:
    found = bounded([(f"n{n}", n) for n in range(100)])
    assert found["n99"] == 99
    assert found[OTHER] == sum(range(100 - MAX_NAMES + 1))


@given(st.lists(st.integers(0, 10**6)))
def test_buckets_grow_to_all_that_was_counted(numbers: list[int]) -> None:
    buckets, total = cumulative(histograms.of(numbers))
    counts = [count for _, count in buckets]
    assert counts == sorted(counts)
    assert (counts[-1], len(counts)) == (len(numbers), len(BOUNDS_S) + 1)
    assert total == pytest.approx(sum(numbers) / 1000, rel=0.025, abs=1e-9)


def test_what_workers_turned_away_is_told_by_any_of_them(tmp_path: Path) -> None:
    def tells_all(live: Live) -> bool:
        read = live.app._reading._sources
        read.metrics = 0.0, b""
        return b'callmeter_refusals_total{reason="foreign_origin"} 5.0' in page(read, ASKED).body

    async def main() -> None:
        async with gateway(tmp_path, Provider(plain())) as one, gateway(tmp_path, Provider(plain())) as other:
            for live, times in ((one, 2), (other, 3)):
                for _ in range(times):
                    assert (await live.ask(chat(), origin="https://evil.example")).status == 403
            await until(lambda: tells_all(one))
            await until(lambda: tells_all(other))

    run(main)
