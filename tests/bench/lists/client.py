"""The load: a small HTTP client in a process of its own. One JSON job per line comes in, one result goes out.

Written on bare sockets, so that on two cores the client takes as little as possible from what it measures.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from dataclasses import dataclass
from typing import Any


@dataclass
class Answer:
    status: int
    seconds: float
    first_byte: float
    size: int
    lines: int
    body: bytes | None


class Connection:
    """One kept-alive connection, made anew when the server closes it."""

    def __init__(self, port: int, timeout: float) -> None:
        self.port, self.timeout = port, timeout
        self.streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def get(self, visit: dict[str, Any], *, keep: bool = False) -> Answer:
        async with asyncio.timeout(self.timeout):
            try:
                return await self._get(visit, keep=keep)
            except (ConnectionError, asyncio.IncompleteReadError):
                if self.streams is None:
                    raise
                self.close()  # an idle connection that the server had closed
                return await self._get(visit, keep=keep)

    async def _get(self, visit: dict[str, Any], *, keep: bool) -> Answer:
        begin = time.perf_counter()
        if self.streams is None:
            self.streams = await asyncio.open_connection("127.0.0.1", self.port, limit=2**20)
        reader, writer = self.streams
        writer.write(_request(visit, self.port))
        head = await reader.readuntil(b"\r\n\r\n")
        first = time.perf_counter() - begin
        status = int(head[9:12])
        size = lines = 0
        kept: list[bytes] = []
        length = re.search(rb"(?im)^content-length: *(\d+)", head)
        chunked = re.search(rb"(?im)^transfer-encoding: *chunked", head)
        async for part in _chunks(reader) if chunked else _parts(reader, int(length[1]) if length else None):
            size += len(part)
            lines += part.count(b"\n")
            if keep:
                kept.append(part)
        if (not length and not chunked) or re.search(rb"(?im)^connection: *close", head):
            self.close()
        return Answer(status, time.perf_counter() - begin, first, size, lines, b"".join(kept) if keep else None)

    def close(self) -> None:
        if self.streams is not None:
            self.streams[1].close()
            self.streams = None


def _request(visit: dict[str, Any], port: int) -> bytes:
    body = visit.get("body", "").encode()
    headers = {"host": f"127.0.0.1:{port}", "accept": "text/html,*/*", "sec-fetch-site": "same-origin"}
    headers |= visit.get("headers", {})
    if body:
        headers |= {"content-type": "application/x-www-form-urlencoded", "content-length": str(len(body))}
    lines = [f"{visit.get('method', 'GET')} {visit['path']} HTTP/1.1", *(f"{k}: {v}" for k, v in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body


async def _parts(reader: asyncio.StreamReader, length: int | None) -> Any:
    left = length
    while left is None or left > 0:
        part = await reader.read(2**18 if left is None else min(left, 2**18))
        if not part:
            if left:
                raise asyncio.IncompleteReadError(b"", left)
            return
        left = None if left is None else left - len(part)
        yield part


async def _chunks(reader: asyncio.StreamReader) -> Any:
    while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
        async for part in _parts(reader, size):
            yield part
        await reader.readexactly(2)
    await reader.readuntil(b"\r\n")


async def one_after_another(job: dict[str, Any]) -> dict[str, Any]:
    """At most `times` visits on one connection, until `seconds` are over; one at least."""
    connection = Connection(job["port"], job["timeout"])
    end = time.perf_counter() + job["seconds"]
    answers = [await connection.get(job["visit"])]
    while len(answers) < job["times"] and time.perf_counter() < end:
        answers.append(await connection.get(job["visit"]))
    connection.close()
    return _result(answers)


async def at_once(job: dict[str, Any]) -> dict[str, Any]:
    """`clients` that ask again and again until `seconds` are over. What is under way then counts, too."""
    answers: list[Answer] = []
    begin = time.perf_counter()

    async def ask() -> None:
        connection = Connection(job["port"], job["timeout"])
        while time.perf_counter() < begin + job["seconds"]:
            answers.append(await connection.get(job["visit"]))
        connection.close()

    await asyncio.gather(*(ask() for _ in range(job["clients"])))
    return {**_result(answers), "elapsed": time.perf_counter() - begin}


async def look(job: dict[str, Any]) -> dict[str, Any]:
    """One visit, with the body."""
    connection = Connection(job["port"], job["timeout"])
    answer = await connection.get(job["visit"], keep=True)
    connection.close()
    return {**_result([answer]), "body": (answer.body or b"").decode("utf-8", "replace")}


def _result(answers: list[Answer]) -> dict[str, Any]:
    return {
        "seconds": [a.seconds for a in answers],
        "statuses": sorted({a.status for a in answers}),
        "size": max(a.size for a in answers),
        "lines": max(a.lines for a in answers),
        "first_byte": min(a.first_byte for a in answers),
    }


MODES = {"serial": one_after_another, "load": at_once, "look": look}


def main() -> None:
    for line in sys.stdin:
        job = json.loads(line)
        try:
            result = asyncio.run(MODES[job["mode"]](job))
        except Exception as error:
            result = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
