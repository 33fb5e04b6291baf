"""What kind of error is which HTTP status, on pages and over the API: one table, so that neither forgets a kind."""

from __future__ import annotations

from typing import Final

from imeiflow.dispatch.errand import LeftLaneError, SlowAnswerError
from imeiflow.errors import (
    ConfigurationError,
    FencedError,
    GuardError,
    ImeiflowError,
    InputError,
    JobStateError,
    LaneBusyError,
    LedgerError,
    ProviderError,
    UnknownJobError,
    UsageError,
)
from imeiflow.operations.item_order import ItemPriceChangedError
from imeiflow.operations.job_control import RetryChangedError
from imeiflow.operations.new_file import ExportError
from imeiflow.operations.preparation import UnknownPreparationError
from imeiflow.operations.price import PriceRoseError
from imeiflow.operations.submit import PriceAboveError, PriceChangedError, UnknownPriceError
from imeiflow.operations.upload_folder import NoRoomError

#: The nearest kind above an error decides; kinds of which some are told otherwise stand first. The numbers are those of
#: pages and of the API, where 400 is for what cannot be read, and 409 for what can be read and not be done.
_STATUSES: Final[tuple[tuple[type[ImeiflowError], int, int], ...]] = (
    (UnknownJobError, 404, 404),
    (UnknownPreparationError, 400, 404),
    (JobStateError, 409, 409),
    (RetryChangedError, 409, 409),
    (UsageError, 400, 409),
    (InputError, 400, 409),
    (PriceRoseError, 409, 409),
    (PriceAboveError, 409, 409),
    (PriceChangedError, 409, 409),
    (ItemPriceChangedError, 409, 409),
    (UnknownPriceError, 409, 409),
    (ConfigurationError, 409, 409),
    (LaneBusyError, 409, 409),
    (GuardError, 409, 409),
    (FencedError, 409, 409),
    (LedgerError, 503, 503),
    (ExportError, 409, 409),
    (NoRoomError, 503, 503),
    (LeftLaneError, 503, 503),
    (SlowAnswerError, 502, 502),
    (ProviderError, 502, 502),
)

_OURS: Final = 500


def page_status(error: ImeiflowError) -> int:
    """Give the status of a page that tells of an error."""
    return next((status for kind, status, _ in _STATUSES if isinstance(error, kind)), _OURS)


def api_status(error: ImeiflowError) -> int:
    """Give the status of an answer to a program that tells of an error."""
    return next((status for kind, _, status in _STATUSES if isinstance(error, kind)), _OURS)
