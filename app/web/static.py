"""Styles, scripts, pictures and fonts: read once, compressed once, and kept by browsers for a year.

The address carries the hash of all files (``/static/<hash>/tokens.css``): a style sheet that names a font by a
relative address then gets the right one too. Without the hash, or with an old one, the browser asks each time.
"""

from __future__ import annotations

import gzip
import hashlib
import mimetypes
import re
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from litestar import Request, Response, get
from litestar.params import FromPath

from app.errors import NotFound
from app.render import STATIC, static_version

FOLDER = STATIC
YEAR = "public, max-age=31536000, immutable"
TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml",
         ".woff2": "font/woff2", ".txt": "text/plain"}  # fmt: skip
_VERSION = re.compile(r"[0-9a-f]{12}")


@dataclass(frozen=True)
class Asset:
    body: bytes
    small: bytes | None
    """The same, gzipped, where that is shorter."""
    kind: str
    etag: str


@lru_cache(maxsize=1)
def assets() -> MappingProxyType[str, Asset]:
    """All files by their path. Only what was there at the start exists, so no path can lead elsewhere."""
    found: dict[str, Asset] = {}
    for path in sorted(FOLDER.rglob("*")):
        if not path.is_file() or path.name.startswith("."):
            continue
        body = path.read_bytes()
        small = gzip.compress(body, 9, mtime=0)
        kind = TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        tag = hashlib.sha256(body).hexdigest()[:16]
        name = path.relative_to(FOLDER).as_posix()
        found[name] = Asset(body, small if len(small) < len(body) * 0.95 else None, kind, f'"{tag}"')
    return MappingProxyType(found)


@get("/static/{path:path}", name="static", sync_to_thread=False)
def static_file(request: Request[Any, Any, Any], path: FromPath[str]) -> Response[bytes]:
    first, _sep, rest = path.lstrip("/").partition("/")
    name = rest if _VERSION.fullmatch(first) else path.lstrip("/")
    asset = assets().get(name)
    if asset is None:
        raise NotFound
    headers = {"ETag": asset.etag, "Vary": "Accept-Encoding"}
    headers["Cache-Control"] = YEAR if first == static_version() else "no-cache"
    if request.headers.get("if-none-match") == asset.etag:
        return Response(b"", status_code=304, headers=headers, media_type=asset.kind)
    if asset.small is not None and "gzip" in request.headers.get("accept-encoding", ""):
        return Response(asset.small, headers={**headers, "Content-Encoding": "gzip"}, media_type=asset.kind)
    return Response(asset.body, headers=headers, media_type=asset.kind)
