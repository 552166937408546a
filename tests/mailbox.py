"""A mail server on loopback that keeps what it is given (RFC 5321, as far as a client needs it)."""

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Mailbox:
    """A running server: its port, the mails it took, and what it answers to the mail's data."""

    port: int
    mails: list[bytes] = field(default_factory=list)
    answer: str = "250 taken"


@contextmanager
def mailbox() -> Iterator[Mailbox]:
    """A server for as long as the block lasts."""

    class Session(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.say("220 here")
            while line := self.rfile.readline():
                word = line[:4].upper()
                if word == b"DATA":
                    self.say("354 go on")
                    box.mails.append(b"".join(iter(self.rfile.readline, b".\r\n")))
                    self.say(box.answer)
                elif word == b"QUIT":
                    return self.say("221 bye")
                else:
                    self.say("250 fine")
            return None

        def say(self, text: str) -> None:
            self.wfile.write(text.encode() + b"\r\n")

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Session) as server:
        server.daemon_threads = True
        box = Mailbox(server.server_address[1])
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield box
        finally:
            server.shutdown()
            thread.join()
