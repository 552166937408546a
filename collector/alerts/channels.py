"""Who is told: webhook, Slack, mail, command. A failure is a SourceError that holds neither an address nor a secret."""

import hashlib
import hmac
import smtplib
import ssl
import subprocess
from collections.abc import Callable, Mapping, Sequence
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from typing import Any
from urllib.parse import unquote, urlsplit

import httpx
import msgspec

from collector.core.errors import SourceError
from collector.outside import Channel

TIMEOUT_S = 15.0
LOOPBACK = ("localhost", "127.0.0.1", "::1")


class Message(msgspec.Struct, frozen=True):
    """What is told. `id` is the same when it has to be sent twice; `event` is fired or recovered."""

    id: str
    event: str
    rule: str
    subject: str
    text: str
    level: str
    step: str = ""
    window: str = ""
    began_at: int = 0
    ended_at: int | None = None

    @property
    def headline(self) -> str:
        """One line: `callmeter: recovered: ...`."""
        over = "recovered: " if self.event == "recovered" else ""
        return f"callmeter: {over}{self.text}"


def channel_names(channels: Sequence[Channel]) -> list[str]:
    """A name for each, never its address: the stated one, or its kind and place among all."""
    return [channel.name or f"{channel.kind} {n}" for n, channel in enumerate(channels, start=1)]


def send(channel: Channel, message: Message, now_us: int, environ: Mapping[str, str]) -> None:
    """Tells one channel. Raises SourceError when it did not take it."""
    _SEND[channel.kind](channel, message, now_us, environ)


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """`sha256=` and the hex HMAC-SHA256 of `timestamp.body` under the secret."""
    return "sha256=" + hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()


def _webhook(channel: Channel, message: Message, now_us: int, environ: Mapping[str, str]) -> None:
    body, timestamp = msgspec.json.encode(message), str(now_us // 1_000_000)
    headers = {"Content-Type": "application/json", "X-Callmeter-Timestamp": timestamp, "X-Callmeter-Id": message.id}
    if channel.secret_env:
        headers["X-Callmeter-Signature"] = signature(_secret(channel, environ), timestamp, body)
    _post(_url(channel, environ), body, headers)


def _slack(channel: Channel, message: Message, now_us: int, environ: Mapping[str, str]) -> None:
    text = message.headline.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    body = msgspec.json.encode({"text": f"[{message.level}] {text}"})
    _post(_url(channel, environ), body, {"Content-Type": "application/json"})


def _post(url: str, body: bytes, headers: Mapping[str, str]) -> None:
    try:
        with (
            httpx.Client(timeout=TIMEOUT_S, follow_redirects=False) as client,
            client.stream("POST", url, content=body, headers=dict(headers)) as answer,
        ):
            status = answer.status_code
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise SourceError(f"it could not be told: {type(error).__name__}") from None
    if not 200 <= status < 300:
        raise SourceError(f"it answered {status}")


def _smtp(channel: Channel, message: Message, now_us: int, environ: Mapping[str, str]) -> None:
    parts = urlsplit(_url(channel, environ))
    mail = _mail(channel, message, now_us)
    try:
        with _connected(parts.scheme, parts.hostname or "", parts.port) as server:
            if parts.username:
                _log_in(server, parts.scheme, parts.hostname or "", unquote(parts.username), _secret(channel, environ))
            server.send_message(mail)
    except (smtplib.SMTPException, OSError) as error:
        code = getattr(error, "smtp_code", "")
        raise SourceError(f"the mail was not taken: {type(error).__name__} {code}".rstrip()) from None


def _connected(scheme: str, host: str, port: int | None) -> smtplib.SMTP:
    if scheme == "smtps":
        return smtplib.SMTP_SSL(host, port or 465, timeout=TIMEOUT_S, context=ssl.create_default_context())
    return smtplib.SMTP(host, port or 25, timeout=TIMEOUT_S)


def _log_in(server: smtplib.SMTP, scheme: str, host: str, user: str, password: str) -> None:
    """A password goes over an encrypted connection, or over none that leaves the machine."""
    if scheme != "smtps" and host not in LOOPBACK:
        server.starttls(context=ssl.create_default_context())
    server.login(user, password)


def _mail(channel: Channel, message: Message, now_us: int) -> EmailMessage:
    mail = EmailMessage()
    mail["From"], mail["To"] = channel.sender or "", ", ".join(channel.to)
    mail["Subject"] = " ".join(message.headline.split())[:200]
    mail["Date"] = formatdate(now_us / 1e6, usegmt=True)
    mail["Message-ID"] = make_msgid(idstring=message.id, domain="callmeter.invalid")
    mail.set_content(f"{message.headline}\n\n{message.rule}: {message.subject}\nlevel: {message.level}\n")
    return mail


def _command(channel: Channel, message: Message, now_us: int, environ: Mapping[str, str]) -> None:
    try:
        done = subprocess.run(
            list(channel.command),
            input=msgspec.json.encode(message),
            capture_output=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise SourceError(f"{channel.command[0]} did not end within {TIMEOUT_S:.0f} s") from None
    except OSError as error:
        raise SourceError(f"{channel.command[0]} could not be run: {error.strerror}") from None
    if done.returncode:
        raise SourceError(f"{channel.command[0]} ended with {done.returncode}")


def _url(channel: Channel, environ: Mapping[str, str]) -> str:
    if channel.url:
        return channel.url
    return _variable(channel.url_env or "", environ)


def _secret(channel: Channel, environ: Mapping[str, str]) -> str:
    if not channel.secret_env:
        raise SourceError("it needs secret_env, the variable that holds its password")
    return _variable(channel.secret_env, environ)


def _variable(name: str, environ: Mapping[str, str]) -> str:
    if not environ.get(name):
        raise SourceError(f"the variable {name} is not set where the collector runs")
    return environ[name]


_SEND: dict[str, Callable[[Channel, Message, int, Mapping[str, str]], Any]] = {
    "webhook": _webhook,
    "slack": _slack,
    "smtp": _smtp,
    "command": _command,
}
