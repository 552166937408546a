"""What is written in one turn of the loop goes out in one piece."""

import asyncio

from collector.intake.gateway.protocol import _TurnEnd


class Transport:
    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.is_closed = False

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def close(self) -> None:
        self.is_closed = True

    def is_closing(self) -> bool:
        return self.is_closed

    def get_extra_info(self, name: str) -> str:
        return name

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def get_protocol(self) -> str:
        return "asked of the transport itself"


def written(transport: _TurnEnd) -> list[bytes]:
    return transport._transport.written  # type: ignore[attr-defined, no-any-return]


def run(use: "object") -> Transport:
    transport = Transport()

    async def main() -> None:
        await use(_TurnEnd(asyncio.get_running_loop(), transport))  # type: ignore[operator, arg-type]
        await asyncio.sleep(0)

    asyncio.run(main())
    return transport


def test_head_and_body_are_one_write_and_the_next_turn_another() -> None:
    async def use(transport: _TurnEnd) -> None:
        transport.write(b"head")
        transport.write(b"body")
        await asyncio.sleep(0)
        transport.write(b"more")

    assert run(use).written == [b"headbody", b"more"]


def test_a_piece_goes_out_at_once_but_not_before_what_was_written_earlier() -> None:
    async def use(transport: _TurnEnd) -> None:
        transport.write(b"head")
        transport.write_now(b"first")
        assert written(transport) == []
        await asyncio.sleep(0)
        transport.write_now(b"second")
        assert written(transport) == [b"headfirst", b"second"]

    run(use)


def test_a_piece_for_a_client_that_has_gone_goes_nowhere() -> None:
    async def use(transport: _TurnEnd) -> None:
        transport._transport.close()
        transport.write_now(b"piece")

    assert run(use).written == []


def test_what_was_written_goes_out_before_a_close() -> None:
    async def use(transport: _TurnEnd) -> None:
        transport.write(b"head")
        transport.close()

    closed = run(use)
    assert closed.written == [b"head"]
    assert closed.is_closed


def test_nothing_is_written_to_a_client_that_has_gone() -> None:
    async def use(transport: _TurnEnd) -> None:
        transport.write(b"head")
        transport._transport.close()

    assert run(use).written == []


def test_all_else_is_the_transports() -> None:
    async def use(transport: _TurnEnd) -> None:
        assert transport.get_protocol() == "asked of the transport itself"
        assert transport.get_extra_info("peername") == "peername"
        assert not transport.is_closing()

    run(use)
