"""The one place where the database library's exceptions become errors of the ledger."""

from __future__ import annotations

import sqlite3
from typing import assert_never

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from imeiflow.errors import GuardError, LedgerBusyError, LedgerError, LedgerFullError
from imeiflow.ledger.dialect import Fault, fault_of

#: What a database or its driver may raise.
DATABASE_ERRORS = (SQLAlchemyError, sqlite3.Error)

#: Troubles of the whole database: they pass, or somebody must act; no single change is to blame.
_TROUBLES = frozenset({Fault.BUSY, Fault.FULL, Fault.INPUT_OUTPUT, Fault.CORRUPT, Fault.DENIED})


class Mismatch(Exception):  # noqa: N818 - never leaves the ledger: it asks for a closer look
    """A statement for many rows changed another number of rows than it should have."""


def is_trouble(error: BaseException) -> bool:
    """Say whether `error` is of the whole database rather than of one change."""
    return fault_of(_driver_error(error)) in _TROUBLES


def translate(error: BaseException, path: str) -> LedgerError:
    """Turn what the database raised into the ledger's error, with what the user can do about it."""
    cause = _driver_error(error)
    fault = fault_of(cause)
    match fault:
        case Fault.BUSY:
            return LedgerBusyError(path=path)
        case Fault.FULL:
            return LedgerFullError(path=path)
        case Fault.INPUT_OUTPUT:
            return LedgerError(
                path=path,
                problem=f"the disk reports an error ({cause})",
                remedy="Look at the disk, then resume the job: nothing that was confirmed is lost.",
            )
        case Fault.CORRUPT:
            return LedgerError(
                path=path,
                problem=f"it is damaged, or not a ledger ({cause})",
                remedy="Restore it from a copy, or name another file; do not delete it: it is the only record.",
            )
        case Fault.DENIED:
            return LedgerError(
                path=path,
                problem=f"it may not be opened or written ({cause})",
                remedy="Check the owner and the permissions of the file and its directory.",
            )
        case Fault.OTHER:
            return GuardError(path=path, problem=str(cause))
        case _:
            assert_never(fault)


def _driver_error(error: BaseException) -> BaseException:
    return error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
