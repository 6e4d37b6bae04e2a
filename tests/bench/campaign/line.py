"""A proxy that hands on every byte half a round trip later: line.py PORT MILLISECONDS; prints its own port."""

from __future__ import annotations

import asyncio
import sys
from typing import cast

import uvloop

PORT, HALF = int(sys.argv[1]), float(sys.argv[2]) / 2000


class End(asyncio.Protocol):
    def __init__(self, other: End | None = None) -> None:
        self.other = other
        self.transport: asyncio.Transport | None = None
        self.early: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        if self.other is None:
            self.other = End(self)
            loop = asyncio.get_running_loop()
            self.opening = loop.create_task(loop.create_connection(lambda: self.other, "127.0.0.1", PORT))
        for data in self.early:
            self.transport.write(data)

    def data_received(self, data: bytes) -> None:
        asyncio.get_running_loop().call_later(HALF, self.hand_on, data)

    def hand_on(self, data: bytes) -> None:
        assert self.other is not None
        if self.other.transport is None:
            self.other.early.append(data)
        else:
            self.other.transport.write(data)

    def connection_lost(self, _problem: Exception | None) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.close()


async def main() -> None:
    server = await asyncio.get_running_loop().create_server(End, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


uvloop.run(main())
