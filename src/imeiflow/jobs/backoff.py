"""What becomes of a delivery after an attempt, and when it is tried again. Pure: time and chance are passed in."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus

from imeiflow.domain.notice import DeliveryState

FIRST_S = 10.0
GROWTH = 3.0
LONGEST_S = 4 * 3600.0
GIVE_UP_AFTER = timedelta(hours=24)
#: A receiver that is gone for good says so.
_GONE = HTTPStatus.GONE


@dataclass(frozen=True, slots=True)
class Next:
    """What becomes of a delivery; `at` is when it is tried again, None where it is not."""

    state: DeliveryState
    at: datetime | None = None


def delay_s(failures: int, chance: float) -> float:
    """Give the seconds to wait after so many failures in a row (from 1): thrice as long each time, up to four hours.

    `chance` (0 to 1) moves it by up to a quarter, so that what failed together does not come again together.
    """
    return min(LONGEST_S, FIRST_S * GROWTH ** min(failures - 1, 20)) * (0.75 + 0.5 * chance)


def decide(
    *,
    http_status: int | None,
    retry_after_s: float | None,
    failures: int,
    since: datetime,
    now: datetime,
    chance: float,
) -> Next:
    """Decide after attempt number `failures` (from 1) of a delivery that is tried since a time.

    Only 2xx is a success: a redirect is not followed, so it is none. 410 ends it at once.
    """
    if http_status is not None and 200 <= http_status < 300:
        return Next(DeliveryState.DELIVERED)
    if http_status == _GONE or now - since >= GIVE_UP_AFTER:
        return Next(DeliveryState.FAILED)
    wait_s = max(delay_s(failures, chance), min(retry_after_s or 0.0, LONGEST_S))
    return Next(DeliveryState.PENDING, min(now + timedelta(seconds=wait_s), max(now, since + GIVE_UP_AFTER)))
