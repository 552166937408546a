"""The heartbeat asks for its address after every round, and keeps it to itself."""

from pathlib import Path

from collector.jobs import collect, job_named
from collector.settings import load_settings
from tests.answering import Reply, answering

NOON = 1_790_856_000_000_000


def test_the_address_is_asked_for_and_never_told(tmp_path: Path) -> None:
    with answering(lambda asked: Reply(b"", 200 if asked.path == "/ping/secret" else 404)) as server:
        (tmp_path / "c.toml").write_text(f'[settings]\nheartbeat_url = "{server.url}/ping/secret"\n')
        settings = load_settings(tmp_path, config=tmp_path / "c.toml", environ={})
        assert collect(settings, lambda: NOON, [job_named("heartbeat")]) == []
        assert [each.path for each in server.asked] == ["/ping/secret"]
    (line,) = collect(settings, lambda: NOON, [job_named("heartbeat")])
    assert line == "heartbeat: heartbeat_url could not be asked: ConnectError"


def test_without_an_address_it_is_not_due(tmp_path: Path) -> None:
    assert not job_named("heartbeat").is_set(load_settings(tmp_path, environ={}))
