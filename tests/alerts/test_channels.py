"""Channels tell over real sockets; what fails says so without an address or a secret."""

import email
import email.policy
import hashlib
import hmac
import json
import sys
from pathlib import Path

import msgspec
import pytest

from collector.alerts.channels import Message, channel_names, send
from collector.core.errors import SourceError
from collector.outside import Channel
from tests.answering import Reply, answering
from tests.mailbox import mailbox

NOW = 1_790_856_000_000_000
MESSAGE = Message("7-fired", "fired", "provider", "openai", "openai is <down> & out\r\nBcc: x@y", "critical", "down")
ENV = {"SECRET": "s3cret", "HOOK": ""}


def test_a_webhook_gets_json_with_a_signature_that_can_be_checked() -> None:
    with answering(lambda _: Reply({})) as server:
        send(Channel("webhook", url=f"{server.url}/hook?token=abc", secret_env="SECRET"), MESSAGE, NOW, ENV)
    (asked,) = server.asked
    assert msgspec.json.decode(asked.body, type=Message) == MESSAGE
    signed = asked.headers["x-callmeter-timestamp"].encode() + b"." + asked.body
    assert asked.headers["x-callmeter-timestamp"] == "1790856000"
    expected = hmac.new(b"s3cret", signed, hashlib.sha256).hexdigest()
    assert asked.headers["x-callmeter-signature"] == f"sha256={expected}"
    assert asked.headers["x-callmeter-id"] == "7-fired"


def test_slack_gets_its_shape_without_markup() -> None:
    with answering(lambda _: Reply(b"ok")) as server:
        send(Channel("slack", url_env="HOOK"), MESSAGE, NOW, {"HOOK": server.url})
    assert json.loads(server.asked[0].body) == {
        "text": "[critical] callmeter: openai is &lt;down&gt; &amp; out\r\nBcc: x@y"
    }


def test_a_mail_server_gets_one_mail_with_one_line_of_subject() -> None:
    with mailbox() as box:
        url = f"smtp://127.0.0.1:{box.port}"
        channel = Channel("smtp", url=url, to=("ops@example.com", "b@example.com"), sender="callmeter@example.com")
        send(channel, MESSAGE, NOW, {})
    (raw,) = box.mails
    mail = email.message_from_bytes(raw, policy=email.policy.default)
    assert mail["Subject"] == "callmeter: openai is <down> & out Bcc: x@y"
    assert mail["To"] == "ops@example.com, b@example.com"
    assert mail["Bcc"] is None
    assert mail["Date"] == "Thu, 01 Oct 2026 12:00:00 +0000"
    assert "level: critical" in mail.get_content()


def test_a_command_gets_json_on_its_standard_input(tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    script = f"import sys; open({str(out)!r}, 'wb').write(sys.stdin.buffer.read())"
    send(Channel("command", command=(sys.executable, "-c", script)), MESSAGE, NOW, {})
    assert msgspec.json.decode(out.read_bytes(), type=Message) == MESSAGE


@pytest.mark.parametrize(
    ("channel", "told"),
    [
        (Channel("webhook", url="http://127.0.0.1:9/s3cret"), "it could not be told: ConnectError"),
        (Channel("webhook", url="http://127.0.0.1:9", secret_env="ABSENT"), "the variable ABSENT is not set"),
        (Channel("slack", url_env="ABSENT"), "the variable ABSENT is not set"),
        (
            Channel("smtp", url="smtp://127.0.0.1:9", to=("a@b",), sender="c@d"),
            "the mail was not taken: ConnectionRefused",
        ),
        (Channel("smtp", url="smtp://u@127.0.0.1:9", to=("a@b",), sender="c@d"), "the mail was not taken"),
        (Channel("command", command=("/no/such/program",)), "could not be run: No such file"),
        (Channel("command", command=(sys.executable, "-c", "raise SystemExit(3)")), "ended with 3"),
    ],
)
def test_what_fails_says_why_and_nothing_secret(channel: Channel, told: str) -> None:
    with pytest.raises(SourceError, match=told) as raised:
        send(channel, MESSAGE, NOW, ENV)
    assert "s3cret" not in str(raised.value)


@pytest.mark.parametrize("status", [301, 400, 404, 500])
def test_another_status_than_2xx_is_a_failure(status: int) -> None:
    with answering(lambda _: Reply({"s": "s3cret"}, status)) as server:
        with pytest.raises(SourceError, match=f"^it answered {status}$"):
            send(Channel("webhook", url=server.url), MESSAGE, NOW, ENV)
        assert len(server.asked) == 1


def test_a_mail_that_is_refused_is_a_failure() -> None:
    with mailbox() as box:
        box.answer = "550 not wanted"
        channel = Channel("smtp", url=f"smtp://127.0.0.1:{box.port}", to=("a@b",), sender="c@d")
        with pytest.raises(SourceError, match="the mail was not taken: SMTPDataError 550"):
            send(channel, MESSAGE, NOW, {})


def test_channels_are_named_without_their_addresses() -> None:
    named = channel_names([Channel("webhook", url="https://h/secret"), Channel("slack", name="ops", url="https://h/s")])
    assert named == ["webhook 1", "ops"]
