"""The form of a call, as it is sent and as it may be kept. Sends nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from urllib.parse import quote_plus, urlencode

from imeiflow.errors import UsageError
from imeiflow.providers.secret import BLANK

_RESERVED = frozenset({"apikey", "userid", "action", "imei", "networkid"})


class FormWriter:
    """Writes urlencoded forms that begin with the login; the constant part is encoded once."""

    __slots__ = ("_evident", "_sent")

    def __init__(self, username: str, key: str) -> None:
        user = urlencode({"userId": username})
        self._sent = f"{urlencode({'apiKey': key})}&{user}&action=".encode()
        self._evident = f"apiKey={BLANK}&{user}&action=".encode()

    def write(self, action: str, fields: Mapping[str, str]) -> tuple[bytes, bytes]:
        """Give the body to send, and the same with the key blanked."""
        rest = f"{action}&{urlencode(fields)}" if fields else action
        return self._sent + rest.encode(), self._evident + rest.encode()

    def write_order(self, imeis: Sequence[str], service: str, extra: Mapping[str, str]) -> tuple[bytes, bytes]:
        """Write a `placeorder` form as `write` does, without encoding each time what never changes."""
        rest = f"placeorder&imei={'%2C'.join(imeis)}&networkId={_quote(service)}"
        if extra:
            rest += f"&{urlencode(extra)}"
        return self._sent + rest.encode(), self._evident + rest.encode()


_quote = lru_cache(maxsize=256)(quote_plus)


def check_extra(extra: Mapping[str, str], *more: str) -> None:
    """Raise UsageError where a service's own fields would overwrite the call's, or one of `more` (lower case)."""
    for name in extra:
        if name.lower() in _RESERVED or name.lower() in more:
            raise UsageError(problem=f"the field {name!r} is set by imeiflow itself and cannot be given")
