"""Probes: free unless asked otherwise, in parallel, within their time, and what did not run is unknown."""

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from collector.core.outcomes import Outcome
from collector.intake.gateway.operations import OPERATIONS
from collector.intake.probes import LEAST, probe, targets, token_targets
from collector.jobs import job_named
from collector.jobs.probes import may_spend
from collector.jobs.runs import begin
from collector.jobs.work import Work
from collector.ledger.check import check
from collector.ledger.engines import open_ledger
from collector.settings import Settings
from tests.answering import Asked, Reply, answering
from tests.ledger.contents import contents
from tests.pulls.test_jobs import DAY_US, NOON, ledger, run, settings_of

ENV = {"KEY_A": "sk-secret-a"}


def of(folder: Path, url: str, rest: str = "") -> Settings:
    return settings_of(
        folder,
        f'[providers.a]\nbase_url = "{url}/v1"\napi_key_env = "KEY_A"\n'
        '[[endpoints]]\nmodel = "x"\nprovider = "a"\nupstream_model = "x-1"\n'
        '[[endpoints]]\nmodel = "y"\nprovider = "a"\n' + rest,
    )


def outcomes(
    settings: Settings, timeout_s: float = 5.0, environ: dict[str, str] = ENV
) -> list[tuple[str, str, Outcome]]:
    found = probe(targets(settings), timeout_s, lambda: NOON, 0.0, environ)
    return [(each.attempt.provider, each.attempt.model, each.attempt.outcome) for each in found]


def test_a_provider_is_asked_once_for_its_models_and_every_endpoint_has_its_attempt(tmp_path: Path) -> None:
    with answering(lambda _: Reply({"data": []})) as server:
        assert outcomes(of(tmp_path, server.url)) == [("a", "x-1", Outcome.OK), ("a", "y", Outcome.OK)]
    (asked,) = server.asked
    assert (asked.method, asked.path, asked.headers["authorization"]) == ("GET", "/v1/models", "Bearer sk-secret-a")


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        (Reply(status=500), Outcome.PROVIDER_FAULT),
        (Reply(status=529), Outcome.PROVIDER_FAULT),
        (Reply(status=401), Outcome.PROVIDER_FAULT),  # the key is ours
        (Reply(status=429), Outcome.RATE_LIMITED),
        (Reply(b"<html>"), Outcome.PROVIDER_FAULT),
        (Reply(b'{"data": ['), Outcome.PROVIDER_FAULT),
        (Reply({"error": {"message": "overloaded"}}), Outcome.PROVIDER_FAULT),  # 200 alone is no success
        (Reply({"error": None, "data": []}), Outcome.OK),
        (Reply([]), Outcome.OK),
        (Reply(b""), Outcome.PROVIDER_FAULT),
        (Reply({"data": []}, wait_s=1.0), Outcome.PROVIDER_FAULT),
        (Reply({"data": [1] * 50}, drip_s=0.05), Outcome.PROVIDER_FAULT),
    ],
)
def test_what_a_provider_answers_decides_the_outcome(reply: Reply, outcome: Outcome, tmp_path: Path) -> None:
    with answering(lambda _: reply) as server:
        assert {each[2] for each in outcomes(of(tmp_path, server.url), timeout_s=0.5)} == {outcome}


def test_nobody_there_is_the_providers_fault(tmp_path: Path) -> None:
    assert {each[2] for each in outcomes(of(tmp_path, "http://127.0.0.1:9"))} == {Outcome.PROVIDER_FAULT}


def test_without_its_key_a_probe_does_not_run_and_nothing_is_known(tmp_path: Path) -> None:
    with answering(lambda _: Reply({"data": []})) as server:
        assert outcomes(of(tmp_path, server.url), environ={}) == []
    assert server.asked == []


def test_a_provider_that_only_passes_keys_on_is_not_probed(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, '[providers.a]\nbase_url = "http://127.0.0.1:9"\npass_key = true\n')
    assert targets(settings) == []
    assert not job_named("probe").is_set(settings)


def test_probes_run_side_by_side(tmp_path: Path) -> None:
    all_there = threading.Barrier(10)  # nobody is answered before all have asked

    def answer(asked: Asked) -> Reply:
        all_there.wait(10)
        return Reply({"data": []})

    with answering(answer) as server:
        providers = "".join(f'[providers.p{n}]\nbase_url = "{server.url}"\n' for n in range(10))
        found = probe(targets(settings_of(tmp_path, providers)), 20.0, lambda: NOON, 0.0, {})
    assert [each.attempt.outcome for each in found] == [Outcome.OK] * 10


def test_a_failed_probe_is_a_result_and_not_a_failed_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY_A", "sk-secret-a")
    with answering(lambda _: Reply(status=503)) as server:
        settings = of(tmp_path, server.url)
        assert run(settings, "probe") == []
    found = contents(ledger(settings))
    assert [(row["probe"], row["outcome"], row["http_status"]) for row in found["v_attempts"]] == [
        (1, "provider_fault", 503)
    ] * 2
    assert {(cell["probe_fault"], cell["provider_fault"]) for cell in found["health"]} == {(1, 0)}
    assert found["v_calls"] == found["usage_quarters"] == []
    assert check(ledger(settings), settings.journal_dir) == []
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file() and path.name != "c.toml")
    assert b"sk-secret-a" not in written


def spending(folder: Path, url: str, most: int = 4) -> Settings:
    return of(folder, url, f'[probes]\ntoken_calls_per_day = {most}\ntoken_models = ["y"]\n')


def test_tokens_are_spent_only_where_asked_for_and_one_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEY_A", "sk-secret-a")
    with answering(lambda _: Reply({"choices": []})) as server:
        assert not job_named("probe_tokens").is_set(of(tmp_path, server.url))
        settings = spending(tmp_path, server.url)
        assert [each.models for each in token_targets(settings)] == [("y",)]
        assert run(settings, "probe_tokens") == []
    (asked,) = server.asked
    assert (asked.method, asked.path) == ("POST", "/v1/chat/completions")
    assert asked.body == b'{"model":"y","max_tokens":1,"messages":[{"role":"user","content":"."}]}'


@pytest.mark.parametrize(
    ("kind", "operations", "path", "least"),
    [
        ("anthropic", None, "/messages", {"max_tokens": 1, "messages": [{"role": "user", "content": "."}]}),
        ("openai", ["embeddings"], "/embeddings", {"input": "."}),
        ("openai", ["completions"], "/completions", {"max_tokens": 1, "prompt": "."}),
        ("openai", ["responses", "chat"], "/responses", {"max_output_tokens": 16, "input": "."}),
        ("openrouter", ["messages"], "/messages", {"max_tokens": 1, "messages": [{"role": "user", "content": "."}]}),
    ],
)
def test_an_endpoint_is_asked_in_the_dialect_that_it_serves(
    kind: str, operations: list[str] | None, path: str, least: dict[str, object], tmp_path: Path
) -> None:
    listed = f"operations = {operations}\n" if operations else ""
    with answering(lambda _: Reply({})) as server:
        settings = settings_of(
            tmp_path,
            f'[providers.a]\nbase_url = "{server.url}/v1"\nkind = "{kind}"\napi_key_env = "KEY_A"\n'
            f'[[endpoints]]\nmodel = "x"\nprovider = "a"\n{listed}[probes]\ntoken_calls_per_day = 1\n',
        )
        (found,) = probe(token_targets(settings), 5.0, lambda: NOON, 0.0, ENV)
    (asked,) = server.asked
    assert (asked.method, asked.path, json.loads(asked.body)) == ("POST", f"/v1{path}", {"model": "x", **least})
    assert (found.attempt.model, found.attempt.outcome) == ("x", Outcome.OK)
    is_theirs = kind == "anthropic"
    assert asked.headers.get("x-api-key") == ("sk-secret-a" if is_theirs else None)
    assert asked.headers.get("anthropic-version") == ("2023-06-01" if is_theirs else None)
    assert asked.headers.get("authorization") == (None if is_theirs else "Bearer sk-secret-a")


def test_every_operation_has_its_least_request() -> None:
    assert LEAST.keys() == {operation.name for operation in OPERATIONS}
    assert {operation.name: operation.path for operation in OPERATIONS} == {
        name: path for name, (path, _) in LEAST.items()
    }


def test_what_did_not_answer_while_there_was_time_is_unknown_and_the_others_are_kept(tmp_path: Path) -> None:
    with answering(lambda asked: Reply({"data": []}, wait_s=5 if "slow" in asked.path else 0)) as server:
        text = "".join(f'[providers.{name}]\nbase_url = "{server.url}/{name}"\n' for name in ("slow", "quick"))
        found = probe(targets(settings_of(tmp_path, text)), 20.0, lambda: NOON, 0.0, {}, within_s=1.5)
    assert [each.attempt.provider for each in found] == ["quick"]


def test_probes_start_at_moments_of_their_own(tmp_path: Path) -> None:
    came: list[float] = []
    with answering(lambda _: (came.append(time.monotonic()), Reply({}))[1]) as server:
        text = "".join(f'[providers.p{n}]\nbase_url = "{server.url}"\n' for n in range(20))
        probe(targets(settings_of(tmp_path, text)), 20.0, lambda: NOON, 2.0, {})
    assert len(came) == 20
    assert len({int(at * 4) for at in came}) >= 4  # quarters of a second


def test_the_days_cap_holds_whatever_became_of_a_run(tmp_path: Path) -> None:
    settings = spending(tmp_path, "http://127.0.0.1:9")
    engine = open_ledger(settings.ledger_url, create=True)
    allowed: Callable[[int], bool] = lambda at: may_spend(Work(settings, engine, at))  # noqa: E731
    spent = []
    for minute in range(0, 24 * 60, 5):
        at = NOON - DAY_US // 2 + minute * 60_000_000
        if allowed(at):
            begin(engine, "probe_tokens", at)  # killed: it never ends
            spent.append(minute // 60)
    assert spent == [0, 6, 12, 18]


def test_the_days_cap_counts_what_somebody_ran_by_hand(tmp_path: Path) -> None:
    settings = spending(tmp_path, "http://127.0.0.1:9")
    engine = open_ledger(settings.ledger_url, create=True)
    midnight = NOON - DAY_US // 2
    for minute in range(4):
        begin(engine, "probe_tokens", midnight + minute * 60_000_000)
    spent = [may_spend(Work(settings, engine, midnight + hour * 3_600_000_000)) for hour in (7, 23, 24)]
    assert spent == [False, False, True]


def test_a_key_never_stands_in_a_request_to_another_provider(tmp_path: Path) -> None:
    seen: list[Asked] = []
    with answering(lambda asked: (seen.append(asked), Reply({"data": []}))[1]) as server:
        settings = of(tmp_path, server.url, f'[providers.b]\nbase_url = "{server.url}/b"\n')
        outcomes(settings)
    assert {each.path: "authorization" in each.headers for each in seen} == {"/v1/models": True, "/b/models": False}
