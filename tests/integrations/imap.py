"""A small IMAP server for tests: real connections, the commands that `app.integrations.mail.inbound` speaks."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Server:
    """Folders with mails by UID. `capabilities` says what it can; `drop_on`: closes the connection at this command."""

    user: str = "desk"
    password: str = "s3cret word"
    capabilities: str = "IMAP4rev1 MOVE UIDPLUS"
    drop_on: str = ""
    folders: dict[str, dict[int, bytes]] = field(default_factory=lambda: {"INBOX": {}})
    deleted: set[int] = field(default_factory=set)
    commands: list[str] = field(default_factory=list)
    port: int = 0
    _next: int = 1

    def add(self, raw: bytes) -> int:
        self.folders["INBOX"][self._next] = raw
        self._next += 1
        return self._next - 1

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"* OK [CAPABILITY %s] here\r\n" % self.capabilities.encode())
        folder = ""
        try:
            while line := (await reader.readline()).decode().strip():
                tag, _space, command = line.partition(" ")
                word = command.upper().removeprefix("UID ").partition(" ")[0]
                self.commands.append(word)
                if word == self.drop_on:
                    return
                if word == "LOGIN":
                    given = re.findall(r'"((?:[^"\\]|\\.)*)"|(\S+)', command.partition(" ")[2])
                    good = [a or b for a, b in given] == [self.user, self.password]
                    self._say(writer, f"{tag} OK in" if good else f"{tag} NO [AUTHENTICATIONFAILED] who are you")
                elif word == "LOGOUT":
                    self._say(writer, "* BYE", f"{tag} OK out")
                    await writer.drain()
                    return
                else:
                    folder = self._answer(writer, tag, word, command, folder)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    def _answer(self, writer: asyncio.StreamWriter, tag: str, word: str, command: str, folder: str) -> str:
        here = self.folders.get(folder, {})
        arguments = command.split()
        if word == "CAPABILITY":
            self._say(writer, f"* CAPABILITY {self.capabilities}", f"{tag} OK done")
        elif word == "SELECT":
            folder = _name(command)
            if folder not in self.folders:
                self._say(writer, f"{tag} NO no such folder")
            else:
                self._say(writer, f"* {len(self.folders[folder])} EXISTS", f"{tag} OK [READ-WRITE]")
        elif word == "SEARCH":
            shown = " ".join(str(uid) for uid in sorted(here) if uid not in self.deleted)
            self._say(writer, f"* SEARCH {shown}".rstrip(), f"{tag} OK done")
        elif word == "FETCH":
            uid = int(arguments[2])
            if uid in here:
                most = int((re.search(r"<0\.(\d+)>", command) or [0, len(here[uid])])[1])
                body = here[uid][:most]
                size = len(here[uid])
                head = f"* 1 FETCH (UID {uid} RFC822.SIZE {size} BODY[]<0> {{{len(body)}}}\r\n"
                writer.write(head.encode() + body + b")\r\n")
            self._say(writer, f"{tag} OK done")
        elif word == "CREATE":
            self.folders.setdefault(_name(command), {})
            self._say(writer, f"{tag} OK done")
        elif word in ("MOVE", "COPY"):
            uid, to = int(arguments[2]), _name(command)
            if word == "MOVE" and "MOVE" not in self.capabilities:
                self._say(writer, f"{tag} BAD what")
            elif to not in self.folders:
                self._say(writer, f"{tag} NO [TRYCREATE] no such folder")
            else:
                self.folders[to][uid] = here[uid]
                if word == "MOVE":
                    del here[uid]
                self._say(writer, f"{tag} OK done")
        elif word == "STORE":
            self.deleted.add(int(arguments[2]))
            self._say(writer, f"{tag} OK done")
        elif word == "EXPUNGE":
            for uid in self.deleted & set(here):
                del here[uid]
            self._say(writer, f"{tag} OK done")
        else:
            self._say(writer, f"{tag} BAD what")
        return folder

    @staticmethod
    def _say(writer: asyncio.StreamWriter, *lines: str) -> None:
        writer.write("".join(f"{line}\r\n" for line in lines).encode())


def _name(command: str) -> str:
    found = re.search(r'"([^"]*)"$', command)
    return found[1] if found else command.split()[-1]


@contextmanager
def imap_server() -> Iterator[Server]:
    """The server, in a thread of its own; `url` of the mailbox is made with its `port`."""
    state = Server()
    loop = asyncio.new_event_loop()
    ready = threading.Event()

    async def run() -> asyncio.Server:
        server = await asyncio.start_server(state.serve, "127.0.0.1", 0)
        state.port = server.sockets[0].getsockname()[1]
        return server

    def work() -> None:
        asyncio.set_event_loop(loop)
        loop.run_until_complete(run())
        ready.set()
        loop.run_forever()
        pending = asyncio.all_tasks(loop)
        for task in pending:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*pending, return_exceptions=True))
        loop.close()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    assert ready.wait(5)
    try:
        yield state
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5)
