"""What one attempt proves about its orders, and what an error means.

Pure values. The provider's reader and `domain.reply` produce them, `domain.decision` turns them into states.
"""

from __future__ import annotations

from enum import StrEnum


class Outcome(StrEnum):
    """What a provider's reply, or the lack of one, proves about one order."""

    ACCEPTED = "accepted"  #: named with a reference
    DUPLICATE = "duplicate"  #: named as ordered before; nothing charged
    REFUSED = "refused"  #: a definite no to this order
    THROTTLED = "throttled"  #: refused before anything was placed (rate, account, service)
    UNSENT = "unsent"  #: failed before the request left; proved not placed
    UNCONFIRMED = "unconfirmed"  #: may have been placed


PROVES_NOT_PLACED = frozenset({Outcome.REFUSED, Outcome.THROTTLED, Outcome.UNSENT})


class Ending(StrEnum):
    """How the HTTP call of an attempt ended."""

    NOT_SENT = "not_sent"  #: DNS, connect, TLS, no free connection: no byte left
    REFUSED_UNREAD = "refused_unread"  #: 429, a rate limiter's 503, a firewall's page
    ANSWERED = "answered"  #: a reply that could be read
    IN_DOUBT = "in_doubt"  #: everything else once the first byte may have left


class ErrorKind(StrEnum):
    """What an error is about, and so who has to do something about it."""

    ORDER = "order"  #: this order alone
    CHUNK = "chunk"  #: this many at once
    RATE = "rate"  #: slow down
    OVERLOAD = "overload"  #: the server is busy
    ACCOUNT = "account"  #: key, user, IP, credit: pause the job, touch nothing more
    SERVICE = "service"  #: unknown or closed
    UNKNOWN = "unknown"  #: a text nobody has seen; never success
