"""Passkeys: a key pair on a device, made for one host, that signs a question of ours.

A question (challenge) is signed by us and says what it is for, for whom and until when, so that nothing is stored for
each page that could be answered; an answer is noted, and counts once. The library is loaded when it is used: a worker
never needs it.

Signing in asks for the person's PIN or finger: with it a passkey is both factors. As the second step its presence is
enough.
"""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from app.db import utcnow
from app.domain.sessions.person import Person
from app.domain.sessions.totp import tell
from app.errors import Conflict, Invalid, NotFound
from app.i18n import _, gettext
from app.links import Signer
from app.models.factors import Passkey
from app.models.sessions import OneUse, OneUseKind

LIFE = timedelta(minutes=15)
MOST = 20
"""Passkeys of one person."""
LONGEST = 20_000
ADD, SIGN_IN, SECOND = "add", "in", "second"
_questions = Signer("passkey")
_handles = Signer("passkey user")


class Refused(Invalid):
    """An answer that proves nothing."""

    def __init__(self) -> None:
        super().__init__(_("The passkey was not accepted. Open the page again and try once more."))


@dataclass(frozen=True)
class Place:
    """The address that the browser shows, `https://host:port`."""

    origin: str

    @property
    def host(self) -> str:
        return urlsplit(self.origin).hostname or ""

    @property
    def serves(self) -> bool:
        """Whether browsers offer passkeys here: on https and on this very machine, and for names only."""
        try:
            ipaddress.ip_address(self.host)
        except ValueError:
            return self.origin.startswith("https:") or self.host == "localhost"
        return False


def _bytes(text: Any) -> bytes:
    """base64url without padding. Raises ValueError, TypeError."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


# ---- questions ------------------------------------------------------------------------------------------------------


def _question(purpose: str, person: Person | None) -> bytes:
    until = int((utcnow() + LIFE).timestamp())
    return _questions.sign(f"{purpose} {person.key if person else '-'} {until} {secrets.token_urlsafe(12)}").encode()


def _named(rows: Sequence[Passkey]) -> list[tuple[bytes, Sequence[str]]]:
    return [(row.credential, row.transports) for row in rows]


async def of(session: AsyncSession, person: Person, place: Place | None = None) -> Sequence[Passkey]:
    """The passkeys of a person, the oldest first; place: those that work there."""
    query = select(Passkey).where(person.owns(Passkey)).order_by(Passkey.id).limit(MOST)
    return (await session.scalars(query.where(Passkey.host == place.host) if place else query)).all()


def to_sign_in(place: Place) -> dict[str, Any] | None:
    """What a browser is asked that may be anybody's; None where there are no passkeys."""
    from app.integrations import webauthn

    if not place.serves:
        return None
    return webauthn.to_sign_in(place.host, _question(SIGN_IN, None), [], verified=True)


async def to_second_step(session: AsyncSession, person: Person, place: Place) -> dict[str, Any] | None:
    """What the browser of this person is asked; None when no passkey of theirs works here."""
    from app.integrations import webauthn

    rows = await of(session, person, place) if place.serves else []
    if not rows:
        return None
    return webauthn.to_sign_in(place.host, _question(SECOND, person), _named(rows), verified=False)


async def to_add(session: AsyncSession, person: Person, place: Place, *, site: str, name: str) -> dict[str, Any] | None:
    """What makes a new passkey for this host."""
    from app.integrations import webauthn

    if not place.serves:
        return None
    handle, known = _handles.mac(person.key).encode(), _named(await of(session, person, place))
    return webauthn.to_add(place.host, site, handle, name, _question(ADD, person), known)


# ---- answers --------------------------------------------------------------------------------------------------------


async def _spend(session: AsyncSession, answer: dict[str, Any], purpose: str, person: Person | None) -> bytes:
    """The question that this answers, if it is ours, for this and for this person; it counts once. Raises Refused."""
    try:
        told = json.loads(_bytes(answer["response"]["clientDataJSON"]))
        question = _bytes(told["challenge"])
        text = _questions.read(question.decode("ascii")) or ""
    except (ValueError, TypeError, KeyError):
        raise Refused from None
    what, _space, rest = text.partition(" ")
    whose, _space, rest = rest.partition(" ")
    until = rest.partition(" ")[0]
    if what != purpose or whose != (person.key if person else "-") or not until.isdecimal():
        raise Refused
    if datetime.fromtimestamp(int(until), UTC) < utcnow():
        raise Refused
    try:
        async with session.begin_nested():
            session.add(
                OneUse(
                    kind=OneUseKind.PASSKEY, token_hash=hashlib.sha256(question).hexdigest(), used_at=utcnow(),
                    expires_at=utcnow() + LIFE, data={},
                )
            )  # fmt: skip
    except IntegrityError:
        raise Refused from None
    return question


def _parsed(text: str) -> dict[str, Any]:
    try:
        answer = json.loads(text) if len(text) <= LONGEST else None
    except ValueError:
        answer = None
    if not isinstance(answer, dict) or not isinstance(answer.get("response"), dict):
        raise Refused
    return answer


def _hash(credential: bytes) -> str:
    return hashlib.sha256(credential).hexdigest()


def credential_of(text: str) -> str:
    """What stands for the passkey of an answer, for a counter of tries; nothing is checked yet. Raises Refused."""
    try:
        return _hash(_bytes(str(_parsed(text)["rawId"])))
    except (ValueError, KeyError):
        raise Refused from None


async def add(session: AsyncSession, *, person: Person, name: str, answer: str, place: Place) -> Passkey:
    """Keep a new passkey. Raises Refused, Invalid (`name`), Conflict."""
    from app.integrations import webauthn

    name = " ".join(name.split())
    if not 1 <= len(name) <= 100:
        raise Invalid(name=gettext("Give it a name of at most 100 characters."))
    if (await session.scalar(select(func.count()).where(person.owns(Passkey))) or 0) >= MOST:
        raise Conflict(gettext("At most %(n)d passkeys, please. Remove one first.") % {"n": MOST})
    parsed = _parsed(answer)
    question = await _spend(session, parsed, ADD, person)
    try:
        made = webauthn.added(parsed, question, place.host, place.origin)
    except Exception:  # whatever a strange answer makes the library stumble over
        raise Refused from None
    told = parsed["response"].get("transports")
    row = Passkey(
        **person.columns, name=name, credential=made.credential_id, credential_hash=_hash(made.credential_id),
        public_key=made.credential_public_key, sign_count=made.sign_count, host=place.host,
        transports=[str(t)[:20] for t in told[:8]] if isinstance(told, list) else [],
    )  # fmt: skip
    try:
        async with session.begin_nested():
            session.add(row)
    except IntegrityError:
        raise Conflict(_("This passkey is known already.")) from None
    await tell(session, person, "passkey_added")
    return row


async def remove(session: AsyncSession, *, person: Person, passkey_id: int) -> None:
    """Forget a passkey. Raises NotFound, also for somebody else's."""
    row = await session.scalar(select(Passkey).where(Passkey.id == passkey_id, person.owns(Passkey)))
    if row is None:
        raise NotFound
    await session.delete(row)
    await session.flush()
    await tell(session, person, "passkey_removed")


async def use(session: AsyncSession, *, answer: str, place: Place, person: Person | None = None) -> Person:
    """Whose passkey has answered. person: the second step of this person; None: signing in. Raises Refused."""
    from app.integrations import webauthn

    parsed = _parsed(answer)
    question = await _spend(session, parsed, SIGN_IN if person is None else SECOND, person)
    row = await session.scalar(
        select(Passkey).where(Passkey.credential_hash == credential_of(answer), Passkey.host == place.host)
    )
    if row is None:
        raise Refused
    owner = Person(row.user_id, row.staff_id)
    if person is not None and owner != person:
        raise Refused
    try:
        count = webauthn.signed_in(
            parsed, question, place.host, place.origin, key=row.public_key, count=row.sign_count,
            verified=person is None,
        )  # fmt: skip
    except Exception:  # as in `add`
        raise Refused from None
    won = await session.execute(
        update(Passkey)
        .where(Passkey.id == row.id, (Passkey.sign_count < count) if count else (Passkey.sign_count == 0))
        .values(sign_count=count, last_used_at=utcnow())
        .returning(Passkey.id)
        .execution_options(audited=True, synchronize_session=False)
    )
    if won.first() is None:  # the counter went back: a copy of the key
        raise Refused
    return owner
