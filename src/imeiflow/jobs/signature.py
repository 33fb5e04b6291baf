"""How a receiver knows that a message is ours, and that it is fresh: HMAC-SHA256 over its time and its body. Pure.

Imeiflow-Signature: t=1764288000,v1=5f2a…        v1 = HMAC-SHA256(secret, "1764288000." + body), in hexadecimal
"""

from __future__ import annotations

import hashlib
import hmac
import re

HEADER = "Imeiflow-Signature"
#: A receiver should refuse what is older: it was recorded, and is sent by somebody else.
TOLERANCE_S = 300
_FORM = re.compile(r"t=(\d{1,12}),v1=([0-9a-f]{64})")


def sign(secret: str, body: bytes, at: int) -> str:
    """Give the value of the header for a body sent at a time, in seconds since 1970."""
    return f"t={at},v1={_hash(secret, body, at)}"


def verify(secret: str, body: bytes, header: str, now: int) -> bool:
    """Say whether a header is ours for this body, and not older than TOLERANCE_S."""
    match = _FORM.fullmatch(header.strip())
    if match is None:
        return False
    at = int(match[1])
    return hmac.compare_digest(_hash(secret, body, at), match[2]) and abs(now - at) <= TOLERANCE_S


def _hash(secret: str, body: bytes, at: int) -> str:
    return hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
