"""Styles, scripts and icons: kept in memory, named by their content, so that browsers keep them for good."""

from __future__ import annotations

import gzip
import hashlib
import mimetypes
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from litestar import Request, Response, get
from litestar.datastructures import State
from litestar.exceptions import NotFoundException
from litestar.params import FromPath

_ROOT: Final = Path(__file__).parent / "static"
_KEPT: Final = "public, max-age=31536000, immutable"
_TEXTS: Final = frozenset({"text/css", "text/javascript", "image/svg+xml", "application/manifest+json"})
_TYPES: Final = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}


@dataclass(frozen=True, slots=True)
class Asset:
    """One file, as it is sent."""

    media_type: str
    digest: str
    plain: bytes
    packed: bytes | None


@cache
def load_assets() -> dict[str, Asset]:
    """Read all files once."""
    return {
        str(path.relative_to(_ROOT)): _load(path)
        for path in sorted(_ROOT.rglob("*"))
        if path.is_file() and path.suffix in {".css", ".js", ".svg", ".png"}
    }


def asset_url(name: str) -> str:
    """Give the address of a file. Raises KeyError where there is none."""
    return f"/static/{load_assets()[name].digest}/{name}"


@get("/static/{digest:str}/{name:path}", opt={"public": True}, include_in_schema=False, sync_to_thread=False)
def static_file(request: Request[Any, Any, State], digest: FromPath[str], name: FromPath[Path]) -> Response[bytes]:
    """Send a file; one that is asked for by an old name is sent too, but not kept."""
    found = load_assets().get(str(name).lstrip("/"))
    if found is None:
        raise NotFoundException
    headers = {"cache-control": _KEPT if digest == found.digest else "no-cache", "vary": "accept-encoding"}
    body = found.plain
    if found.packed is not None and "gzip" in request.headers.get("accept-encoding", ""):
        body, headers["content-encoding"] = found.packed, "gzip"
    return Response(body, media_type=found.media_type, headers=headers)


def _load(path: Path) -> Asset:
    plain = path.read_bytes()
    media_type = _TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    packed = gzip.compress(plain, 9, mtime=0) if media_type in _TEXTS else None
    return Asset(media_type, hashlib.sha256(plain).hexdigest()[:12], plain, packed)
