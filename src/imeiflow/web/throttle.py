"""Slowing down whoever guesses passwords: by name and by address, longer with each failure."""

from __future__ import annotations

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

_FREE_FAILURES: Final = 5  #: so many may go wrong before it waits
_FIRST_WAIT_S: Final = 15.0
_LONGEST_WAIT_S: Final = 900.0
_FORGOTTEN_AFTER_S: Final = 3600.0
_MOST_KEYS: Final = 10_000


@dataclass(slots=True)
class _Record:
    failures: int = 0
    last_at: float = 0.0
    number: int = 0  #: of the last failure
    blocked_until: float = 0.0
    blocked_before: float = 0.0  #: as it was before the last failure


class Throttle:
    """Counts failures by key. Safe in one event loop."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._records: OrderedDict[str, _Record] = OrderedDict()
        self._number = 0

    def wait_s(self, *keys: str) -> float:
        """Say how long whoever has these keys must wait; 0 where they need not."""
        now = self._clock()
        waits = [self._records[key].blocked_until - now for key in keys if key in self._records]
        return max(0.0, *waits) if waits else 0.0

    def fail(self, *keys: str) -> int:
        """Count a failure, and give its number."""
        now = self._clock()
        self._number += 1
        for key in keys:
            record = self._records.pop(key, None)
            if record is None or now - record.last_at > _FORGOTTEN_AFTER_S:
                record = _Record()
            record.failures += 1
            record.last_at, record.number = now, self._number
            record.blocked_before = record.blocked_until
            over = record.failures - _FREE_FAILURES
            if over >= 0:
                record.blocked_until = now + min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2.0 ** min(over, 10))
            self._records[key] = record
        while len(self._records) > _MOST_KEYS:
            self._records.popitem(last=False)
        return self._number

    def undo(self, key: str, number: int) -> None:
        """Take back a failure of a key, which was none; the others stay, and the wait that one after it brought."""
        record = self._records.get(key)
        if record is None:
            return
        record.failures -= 1
        if record.number == number:
            record.blocked_until = record.blocked_before
        if record.failures < _FREE_FAILURES:
            record.blocked_until = 0.0
        if record.failures <= 0:
            del self._records[key]

    def succeed(self, *keys: str) -> None:
        """Forget the failures of keys."""
        for key in keys:
            self._records.pop(key, None)


def network_of(address: str) -> str:
    """Give what one visitor has for certain: the address, of IPv6 the first half, of which each has them all."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, 64), strict=False))
