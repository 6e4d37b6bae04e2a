"""One slice of one lane of a campaign: rows are claimed and marked by the hundred, sent as connections ask for them.

What is in doubt after a crash does not depend on how many rows a lane holds: `app.integrations.mail.notes` says of each
whether it was begun and answered. So the window is chosen for speed alone, and for what a lost machine may leave open.
"""

from __future__ import annotations

import asyncio
import heapq
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from math import inf

from app import db
from app.domain.messaging import bounces, delivery
from app.domain.messaging.compose import letter
from app.domain.messaging.content import Content
from app.domain.messaging.delivery import FRESH, End, Outcome, Row
from app.integrations.mail import Letter, MailAttachment, MailError, Rejected, Unsure, carry, valid_address
from app.integrations.mail.notes import REFUSED, TAKEN, Notes, mark
from app.observe import log
from tasks.base import JobRun, stopping
from tasks.pace import SOON, Failures, Pace

FLUSH_SECONDS = 0.1
"""How long an ended row waits at most until it is marked."""
AT_LEAST = 16
WINDOW_LARGE = 8
"""Rows of a lane when the files are large, for the memory's sake."""
LARGE = 1024 * 1024
PROBES = 2
"""Rows that are tried while the mail server is known to be down."""
PUT_OFF_EVERY = 1.0
"""Seconds between two looks for rows whose next try has come, while the others are sent in their turn."""


class Flight(Letter):
    """A claimed row on its way."""

    __slots__ = ("fenced_at", "lane", "row", "slot", "taken_at")

    def __init__(self, lane: Lane, row: Row, fenced_at: float) -> None:
        super().__init__("", "", b"", 0)
        self.lane = lane
        self.row = row
        self.fenced_at = fenced_at
        self.taken_at = 0.0
        self.slot = -1

    def begin(self) -> bool:
        return self.lane.begin(self)

    def ended(self, error: MailError | None) -> None:
        self.lane.ended(self, error)


class MailServer:
    """What this process knows of the mail server."""

    down_since: float | None = None
    """Since when it has not answered (monotonic clock)."""
    pace: float = 200.0
    """Messages a second lately."""


class Lane:
    """Claims, hands over, marks. `token` is that of its rows. Start it with `work()`, then call `end()`."""

    def __init__(self, job: JobRun, content: Content, files: Sequence[MailAttachment], lane: int) -> None:
        folder = job.resources.settings.data_dir / "sending"
        self.job = job
        self.content = content
        self.files = files
        self.token = f"{mark(folder)}-{job.token[:23]}"
        self.exhausted = False
        """Nothing was due when it last looked."""
        self.down = False
        """The mail server cannot be reached."""
        self.failures = Failures.of(content)
        self._pace = Pace.of(content, lane)
        large = sum(file.size for file in content.attachments) > LARGE
        self._window = WINDOW_LARGE if large else job.resources.settings.send_window
        self._notes = Notes(folder, self.token, 2 * self._window + AT_LEAST)
        self._ready: deque[Flight] = deque()
        self._later: list[tuple[float, int, Flight]] = []
        """Rows whose domain has had its share of this moment: (when, a number, row)."""
        self._offered: set[Flight] = set()
        self._flying = 0
        self._back: list[tuple[Outcome, int]] = []
        self._oldest_back = 0.0
        self._enough = AT_LEAST // 2
        """So many that have ended are worth a transaction."""
        self._last_success = 0.0
        self._next_look = time.monotonic() + PUT_OFF_EVERY
        self._lost = False
        """The rows belong to somebody else by now."""
        self._uncertain = False
        """A transaction has failed, so there may be rows of ours that we do not know of."""
        self._ended_since, self._measured_at = 0, time.monotonic()
        self._news = asyncio.Event()
        self._carrying = carry(job.resources.mailer, self)

    @property
    def _ending(self) -> bool:
        return self.down or self._lost or self.failures.too_many or self.job.slice_over

    @property
    def _held(self) -> int:
        return len(self._ready) + len(self._later) + len(self._offered) + self._flying

    async def work(self) -> None:
        """Until the slice is over, nothing is due, or nothing can be sent."""
        while True:
            await self._turn()
            if not self._held and not self._back and (self._ending or (self.exhausted and not self._pace.promises)):
                return
            if self.exhausted and self._pace.promises:
                self.exhausted = False  # somebody's turn comes soon: look again
            if self._ending and (self._ready or self._later) and self._must_stop:
                self._let_go()
                continue
            self._carrying.kick(len(self._ready))
            with suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), self._patience())
            self._news.clear()

    @property
    def _must_stop(self) -> bool:
        """Not even what is claimed should go out any more."""
        return self.down or self._lost or self.failures.too_many or self.job.cancelled or stopping()

    def _patience(self) -> float:
        waits = [FLUSH_SECONDS]
        if self._later:
            waits.append(self._later[0][0] - time.monotonic())
        if not self._ending and not self.exhausted:
            waits.append(self._pace.wait())
        return max(min(waits), 0.001)

    async def end(self) -> None:
        """Whatever happened: write down what came back, give back what was not started."""
        if self._held:  # cut off: what flies is in doubt
            self._let_go()
            self._carrying.abort()
        await self._carrying.close()
        self._pace.keep()
        try:
            if self._back:
                await self._turn()
        finally:
            (self._notes.leave if self._uncertain or self._back else self._notes.close)()

    # ---- the source of letters --------------------------------------------------------------------------------------

    def take(self) -> Letter | None:
        """The next letter, made this moment: what waits costs no memory."""
        if self._must_stop:
            return None
        while self._ready:
            flight, now = self._ready[0], time.monotonic()
            if now - flight.fenced_at > FRESH:
                self._news.set()
                return None
            self._ready.popleft()
            if self._compose(flight):
                flight.taken_at = now
                self._offered.add(flight)
                return flight
        self._news.set()
        return None

    def give_back(self, letter: Letter) -> None:
        assert isinstance(letter, Flight)
        self._offered.discard(letter)
        self._ready.appendleft(letter)
        self._news.set()

    def begin(self, flight: Flight) -> bool:
        """The last moment at which a letter can be held back."""
        self._offered.discard(flight)
        if not self._lost and time.monotonic() - flight.fenced_at <= FRESH:
            flight.slot = self._notes.begin(flight.row.message_id)
            if flight.slot >= 0:
                self._flying += 1
                return True
            self._lost = True
        self._came_back(Outcome(flight.row, End.RELEASED), -1)
        return False

    def ended(self, flight: Flight, error: MailError | None) -> None:
        """The answer of the server, or what is known instead."""
        self._offered.discard(flight)
        if flight.slot >= 0:
            self._flying -= 1
            if not isinstance(error, Unsure):
                self._notes.end(flight.slot, REFUSED if error else TAKEN)
        outcome = delivery.outcome(flight.row, error)
        now = time.monotonic()
        if outcome.end is End.UNREACHABLE:
            outcome.server_is_well = self._last_success > flight.taken_at
            if not outcome.server_is_well:
                self.down = True
                if MailServer.down_since is None:
                    MailServer.down_since = now
                    log("messaging").warning("the mail server cannot be reached: %s", outcome.reason)
        else:
            self._last_success = now
            MailServer.down_since = None
        self._ended_since += 1
        self._came_back(outcome, flight.slot)

    def _compose(self, flight: Flight) -> bool:
        row = flight.row
        try:
            flight.sender, flight.recipient, flight.wire, flight.size = letter(
                content=self.content, files=self.files, row=row
            )
        except Rejected as error:
            bad = not valid_address(row.address)
            self._came_back(delivery.no_address(row) if bad else Outcome(row, End.REFUSED, str(error)), -1)
            return False
        except Exception as error:
            log("messaging").exception("a message cannot be built: %s", row.message_id)
            self._came_back(Outcome(row, End.REFUSED, f"The message cannot be built: {error}"), -1)
            return False
        return True

    def _came_back(self, outcome: Outcome, slot: int) -> None:
        if not self._back:
            self._oldest_back = time.monotonic()
        self._back.append((outcome, slot))
        if len(self._back) >= self._enough:
            self._news.set()

    def _let_go(self) -> None:
        """Give back what no connection has yet."""
        for flight in (*self._ready, *(flight for _at, _n, flight in self._later)):
            self._came_back(Outcome(flight.row, End.RELEASED), -1)
        self._ready.clear()
        self._later.clear()

    # ---- the database -----------------------------------------------------------------------------------------------

    @property
    def _target(self) -> int:
        """Rows to hold: as many as go out in half the time for which a claim holds, at most the window."""
        return min(self._window, max(AT_LEAST, int(MailServer.pace * FRESH / 2)))

    def _room(self) -> int:
        """How many rows to claim now."""
        if self._ending or self.exhausted:
            return 0
        most = PROBES if MailServer.down_since is not None else self._target
        room = most - self._held
        if self._pace.limited:
            return min(room, self._pace.tokens())
        return room if room * 2 >= most else 0

    async def _turn(self) -> None:
        """One transaction: marks what came back, fences what has waited, claims what there is room for."""
        now = time.monotonic()
        self._enough = max(self._target // 2, 1)
        while self._later and self._later[0][0] <= now:
            self._ready.append(heapq.heappop(self._later)[2])
        n = self._room()
        late = bool(self._back) and (
            n > 0 or len(self._back) >= self._enough or not self._held or now - self._oldest_back >= FLUSH_SECONDS
        )
        held = (*self._ready, *self._offered, *(flight for _at, _n, flight in self._later))
        stale = [flight for flight in held if now - flight.fenced_at > FRESH / 2]
        if not (n or late or stale):
            return
        back, self._back = (self._back, []) if late else ([], self._back)
        end = now + self.job.lease_seconds
        while True:
            now = time.monotonic()  # before the statement: what it says holds from then on
            try:
                claimed, waited, still = await self._write([outcome for outcome, _slot in back], stale, n)
                break
            except BaseException as error:
                self._uncertain = True
                if time.monotonic() >= end or not isinstance(error, Exception):
                    self._back = back + self._back
                    raise
                log("messaging").warning("the database does not answer, trying again: %s", type(error).__name__)
                await asyncio.sleep(0.25)
                n = 0 if self._ending else n
        self._notes.free([slot for _outcome, slot in back if slot >= 0])
        self.failures.count([outcome for outcome, _slot in back], self.content.policy)
        await self._suppress([outcome for outcome, _slot in back])
        for flight in stale:
            flight.fenced_at = now if flight.row.message_id in still else -inf
        if stale:
            self._drop_unheld()
        self._take_in(claimed, waited, now)
        self._measure()

    async def _suppress(self, outcomes: list[Outcome]) -> None:
        """Send nothing more to addresses that do not exist. In a transaction of its own: it looks at other campaigns
        too, whose lanes may wait for this one."""
        for outcome in outcomes:
            if outcome.end is End.REFUSED and bounces.missing(outcome.reason):
                try:
                    async with db.unit() as session:
                        await bounces.take_refusal(
                            session, address=outcome.row.address, code=outcome.code, reason=outcome.reason
                        )
                except Exception as error:  # the next mail to it tells the same
                    log("messaging").warning("an address was not suppressed: %s", type(error).__name__)

    async def _write(self, outcomes: list[Outcome], stale: list[Flight], n: int) -> tuple[list[Row], int, set[str]]:
        held: set[str] = set()
        rows: list[Row] = []
        token, lease_seconds, content = self.token, self.job.lease_seconds, self.content
        after, exhausted, look = self._pace.after, self.exhausted, self._next_look
        async with db.unit() as session:
            if outcomes:
                await delivery.finish(
                    session, campaign_id=content.campaign_id, outcomes=outcomes, token=token, policy=content.policy
                )
            if stale:
                flights = [flight.row for flight in stale]
                held = await delivery.fence(session, rows=flights, token=token, lease_seconds=lease_seconds)
            if n and after is not None and time.monotonic() >= look:
                look = time.monotonic() + PUT_OFF_EVERY
                rows = await delivery.claim_put_off(
                    session, content=content, n=n, token=token, lease_seconds=lease_seconds
                )
            waited = len(rows)
            while n > len(rows):
                found, mails, last = await delivery.claim(
                    session, content=content, n=n - len(rows), token=token, lease_seconds=lease_seconds, after=after
                )
                rows += mails
                if found:
                    after = last if after is not None else None
                    break
                if after is None:
                    exhausted = not rows
                    break
                after = None  # the end of the order; what is left became due in the meantime
        self._pace.after, self.exhausted, self._next_look = after, exhausted, look
        return rows, waited if after is not None else len(rows), held

    def _take_in(self, rows: list[Row], waited: int, fenced_at: float) -> None:
        self._pace.used(len(rows))
        for number, row in enumerate(rows):
            wait = self._pace.domain_wait(row.address, first=number >= waited)
            if wait > SOON:
                self._came_back(Outcome(row, End.RELEASED, delay=wait), -1)
            elif wait > 0:
                heapq.heappush(self._later, (fenced_at + wait, number, Flight(self, row, fenced_at)))
            else:
                self._ready.append(Flight(self, row, fenced_at))

    def _drop_unheld(self) -> None:
        """What the fence has refused is not ours any more, or not to be sent; `begin` stops what is offered."""
        for flight in [f for f in self._ready if f.fenced_at == -inf]:
            self._ready.remove(flight)
            self._came_back(Outcome(flight.row, End.RELEASED), -1)
        for entry in [e for e in self._later if e[2].fenced_at == -inf]:
            self._later.remove(entry)
            self._came_back(Outcome(entry[2].row, End.RELEASED), -1)
        heapq.heapify(self._later)

    def _measure(self) -> None:
        now = time.monotonic()
        if (seconds := now - self._measured_at) > 0.02:
            MailServer.pace += 0.3 * (self._ended_since / seconds - MailServer.pace)
            self._ended_since, self._measured_at = 0, now

    async def renew(self) -> None:
        """Renew the leases of the rows: a slow server must not make them look abandoned."""
        async with db.unit() as session:
            await delivery.renew(session, token=self.token, lease_seconds=self.job.lease_seconds)
