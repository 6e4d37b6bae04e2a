"""The limits: raw.py PORT N CONNECTIONS ready|template; prints seconds and processor time as JSON.

ready: bytes that were made before. template: each whole message is rendered from one Jinja template, on its turn.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from typing import cast

import uvloop
from jinja2 import Environment

from app import links
from app.domain.messaging.compose import letter
from app.domain.messaging.content import Content
from app.domain.messaging.delivery import Row
from app.domain.messaging.values import Recipient
from app.models.messaging import CampaignState, Policy
from app.settings import load
from tests.bench.campaign.content import TEXTS, person

FRAME = {"project.name": "Nordhost", "project.site": "https://nordhost.example", "project.hue": "2"}
SENDER = {"project.sender_name": "Nordhost support", "project.sender_email": "desk@nordhost.example"}


def wire(n: int, **kw: str) -> tuple[str, str, bytes]:
    """The message of Bursar for the recipient with this number; kw: other values."""
    name, contact, address, language = person(n)
    content = Content(
        campaign_id=1, state=CampaignState.RUNNING, policy=Policy.RESEND, texts=TEXTS, sender_name="",
        sender_email="", staff_name="Alex", attachments=(),
    )  # fmt: skip
    values = {"customer.name": name, "customer.contact_person": contact, "customer.id": str(n)} | SENDER | FRAME | kw
    row = Row(f"c1.0123456789.{n}.e", address, language, 0, Recipient(values, FRAME, values["customer.name"]))
    sender, recipient, made, _size = letter(content=content, files=(), row=row)
    return sender, recipient, made


def template() -> str:
    """The English message with fields of Jinja where values stand."""
    marks = {"customer.name": "Qqname", "customer.contact_person": "Qqcontact", "customer.id": "Qqid"}
    text = wire(0, **marks)[2].decode()
    for field, mark in marks.items():
        text = text.replace(mark, "{{ " + field.partition(".")[2] + " }}")
    return text.replace("kunde0@mail0.example.org", "{{ address }}").replace("c1.0123456789.0.e", "{{ message_id }}")


def letters(n: int, how: str) -> Iterator[tuple[bytes, bytes]]:
    if how == "ready":
        sender, recipient, made = wire(1)
        group = b"MAIL FROM:<%b>\r\nRCPT TO:<%b>\r\nDATA\r\n" % (sender.encode(), recipient.encode())
        for _i in range(n):
            yield group, made
        return
    render = (
        Environment(autoescape=True, keep_trailing_newline=True, newline_sequence="\r\n").from_string(template()).render
    )
    for i in range(n):
        name, contact, address, _language = person(i)
        text = render(name=name, contact_person=contact, id=i, address=address, message_id=f"c1.0123456789.{i}.e")
        yield b"MAIL FROM:<desk@nordhost.example>\r\nRCPT TO:<%b>\r\nDATA\r\n" % address.encode(), text.encode()


class Connection(asyncio.Protocol):
    def __init__(self, source: Iterator[tuple[bytes, bytes]], done: asyncio.Future[None]) -> None:
        self.source, self.done = source, done
        self.lines = -1
        self.text: bytes | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():  # also when a message could not be made
            self.done.set_exception(exc or ConnectionError("the connection was closed"))

    def data_received(self, data: bytes) -> None:
        if self.lines == -1:  # the greeting
            self.lines = 0
            group, self.text = next(self.source)
            self.transport.write(group)
        elif data.endswith(b"\r\n") and (b"354" in data):
            text = self.text
            assert text is not None
            following = next(self.source, None)
            if following is None:
                self.text = None
                self.transport.write(text)
            else:
                self.text = following[1]
                self.transport.write(text + following[0])
        elif self.text is None:
            self.done.set_result(None)
            self.transport.close()


async def main() -> None:
    port, n, connections, how = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    source, loop = letters(n, how), asyncio.get_running_loop()
    began, cpu = time.perf_counter(), time.process_time()
    ends = []
    for _n in range(connections):
        done = loop.create_future()
        ends.append(done)
        await loop.create_connection(lambda done=done: Connection(source, done), "127.0.0.1", port)  # type: ignore[misc]
    await asyncio.gather(*ends)
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    size = len(wire(1)[2])
    print(json.dumps({"seconds": seconds, "n": n, "cpu": cpu, "bytes": size}))


links.configure(load())
if __name__ == "__main__":
    uvloop.run(main())
