"""What a person does for the safety of their own sign-in: one verb per button of the page, and what the page shows.

What weakens or opens the way in asks for a proof first (`proving`). Each opens its own units: a proof is counted even
when it is refused.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import segno
from sqlalchemy.ext.asyncio import AsyncSession

from app import db
from app.domain.sessions import devices, passkeys, totp
from app.domain.sessions.passkeys import Place
from app.domain.sessions.person import Person
from app.domain.sessions.proving import prove
from app.domain.sessions.rows import end_sessions_of
from app.errors import Invalid, NotFound
from app.i18n import gettext, ngettext


@dataclass(frozen=True)
class Who:
    """The person at the page: their session, the address in their browser, and what an app calls the account."""

    person: Person
    session_id: int
    place: Place
    name: str
    site: str


@dataclass(frozen=True)
class Done:
    """What is said, the recovery codes to be shown this once, and whether an app is to be set up next."""

    text: str = ""
    codes: Sequence[str] = ()
    set_up: bool = False


@dataclass(frozen=True)
class Device:
    id: int
    name: str
    ip: str
    since: datetime
    used: datetime
    own: bool


@dataclass(frozen=True)
class Overview:
    """For templates/security.j2."""

    two_factor: totp.State
    passkeys: Sequence[Any]
    question: str | None
    """JSON for a new passkey; None where there can be none."""
    devices: Sequence[Device]
    wrong: Mapping[str, str] = field(default_factory=dict)
    """What was refused: button, or button.field -> why."""
    typed: Mapping[str, str] = field(default_factory=dict)


async def overview(
    session: AsyncSession, who: Who, *, wrong: Mapping[str, str] | None = None, typed: Mapping[str, str] | None = None
) -> Overview:
    asked = await passkeys.to_add(session, who.person, who.place, site=who.site, name=who.name)
    return Overview(
        await totp.state(session, who.person),
        await passkeys.of(session, who.person),
        json.dumps(asked) if asked else None,
        [
            Device(s.id, devices.device(s.agent), s.ip, s.created_at, s.last_seen_at, s.id == who.session_id)
            for s in await devices.living(session, who.person)
        ],
        wrong or {},
        typed or {},
    )


@dataclass(frozen=True)
class SetUp:
    """What an app is given: a picture, and the same as text."""

    picture: str
    secret: str


async def set_up(session: AsyncSession, who: Who) -> SetUp | None:
    """What waits to be confirmed; None: nothing does."""
    secret = await totp.pending(session, person=who.person)
    if secret is None:
        return None
    code = segno.make(totp.address(secret, name=who.name, issuer=who.site), error="m", micro=False)
    picture = code.svg_data_uri(scale=5, border=4, dark="#000", light="#fff", omitsize=True)
    return SetUp(picture, " ".join(secret[n : n + 4] for n in range(0, len(secret), 4)))


# ---- buttons --------------------------------------------------------------------------------------------------------


async def _begin(who: Who, given: Mapping[str, str]) -> Done:
    await prove(who.person, given["proof"])
    async with db.unit() as session:
        await totp.begin(session, person=who.person)
    return Done(set_up=True)


async def _confirm(who: Who, given: Mapping[str, str]) -> Done:
    async with db.unit() as session:
        codes = await totp.confirm(session, person=who.person, code=given["code"])
    return Done(gettext("Two-factor sign-in is on."), codes)


async def _codes(who: Who, given: Mapping[str, str]) -> Done:
    await prove(who.person, given["proof"])
    async with db.unit() as session:
        codes = await totp.new_codes(session, person=who.person)
    return Done(gettext("These are your new recovery codes. The old ones do not work any more."), codes)


async def _off(who: Who, given: Mapping[str, str]) -> Done:
    await prove(who.person, given["proof"])
    async with db.unit() as session:
        await totp.switch_off(session, person=who.person)
    return Done(gettext("Two-factor sign-in is off."))


async def _add(who: Who, given: Mapping[str, str]) -> Done:
    await prove(who.person, given["proof"])
    async with db.unit() as session:
        await passkeys.add(
            session, person=who.person, name=given["name"], answer=given["credential"], place=who.place
        )  # fmt: skip
    return Done(gettext("The passkey is added."))


async def _remove(who: Who, given: Mapping[str, str]) -> Done:
    async with db.unit() as session:
        await passkeys.remove(session, person=who.person, passkey_id=_number(given["id"]))
    return Done(gettext("The passkey is removed. You can delete it on the device too."))


async def _end(who: Who, given: Mapping[str, str]) -> Done:
    async with db.unit() as session:
        await devices.sign_out_there(session, person=who.person, session_id=_number(given["id"]))
    return Done(gettext("That device is signed out."))


async def _end_others(who: Who, _given: Mapping[str, str]) -> Done:
    async with db.unit() as session:
        n = await end_sessions_of(session, **who.person.columns, keep=who.session_id)
    said = ngettext("%(n)s other device is signed out.", "%(n)s other devices are signed out.", n) % {"n": n}
    return Done(said if n else gettext("No other device was signed in."))


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 19):
        raise NotFound
    return int(text)


BUTTONS: dict[str, Callable[[Who, Mapping[str, str]], Awaitable[Done]]] = {
    "begin": _begin, "confirm": _confirm, "codes": _codes, "off": _off, "add": _add, "remove": _remove, "end": _end,
    "end_others": _end_others,
}  # fmt: skip
FIELDS = ("proof", "code", "name", "credential", "id")
"""What they are given; what is missing is empty."""


async def press(who: Who, what: str, given: Mapping[str, str]) -> Done:
    """Press a button. Raises NotFound for one that there is not, and what the verb refuses: Invalid with the fields."""
    button = BUTTONS.get(what)
    if button is None:
        raise NotFound
    return await button(who, {name: given.get(name, "") for name in FIELDS})


def refusals(what: str, error: Exception) -> dict[str, str]:
    """`Overview.wrong` for a button that was refused."""
    if isinstance(error, Invalid):
        return {f"{what}.{name}" if name else what: str(text) for name, text in error.fields.items()}
    return {what: str(error)}
