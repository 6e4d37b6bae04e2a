"""Pictures in a configuration file: base64, in lines. They lie in the store of files, which is named here for as
long as a configuration file is written or taken over."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from app import db
from app.domain import keeping
from app.domain.billing.logos import check_picture
from app.domain.config.refs import Refs
from app.domain.config.shapes import At, Shape, scalar
from app.domain.config.yamlfile import Node
from app.errors import Invalid
from app.i18n import gettext, show_bytes
from app.integrations.storage import Storage


@dataclass
class Place:
    """made: what was put into the store meanwhile."""

    storage: Storage | None
    made: list[str] = field(default_factory=list)


_place: ContextVar[Place | None] = ContextVar("pictures", default=None)


def place() -> Place:
    return _place.get() or Place(None)


@asynccontextmanager
async def lying_in(storage: Storage | None) -> AsyncIterator[None]:
    """Without a store there are no pictures. What was put there and nobody needs in the end is deleted."""
    token = _place.set(here := Place(storage))
    try:
        yield
    finally:
        _place.reset(token)
        if storage is not None and here.made:
            async with db.reads() as session:
                await keeping.forget(storage, session, here.made)


class Picture(Shape):
    def parse(self, node: Node, at: At) -> Any:
        try:
            data = base64.b64decode("".join(scalar(node, at).text.split()), validate=True)
        except ValueError:
            raise at.wrong(gettext("A picture as base64, please."), node) from None
        try:
            check_picture(data)
        except Invalid as problem:
            raise at.wrong(str(problem.fields["files"]), node) from None
        return written(data)

    def load(self, value: Any, refs: Refs, row: Any) -> Any:
        return written(value)

    def store(self, value: Any, refs: Refs, row: Mapping[str, Any]) -> Any:
        return base64.b64decode(value)

    def shown(self, value: Any) -> Any:
        if not value:
            return value
        data = base64.b64decode(value)
        return f"{show_bytes(len(data))}, SHA-256 {hashlib.sha256(data).hexdigest()[:12]}"


def written(data: bytes) -> str:
    return base64.encodebytes(data).decode().rstrip("\n")
