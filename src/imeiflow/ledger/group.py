"""Writing a group of intents and conclusions within one transaction: all at once, or each for itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial

from sqlalchemy import Connection

from imeiflow.domain.ident import AttemptId
from imeiflow.errors import ImeiflowError
from imeiflow.ledger.change import Concluded, Conclusion, Intent
from imeiflow.ledger.conclusion import find_odd, write_conclusions
from imeiflow.ledger.fault import DATABASE_ERRORS, Mismatch, is_trouble, translate
from imeiflow.ledger.intent import find_refused, write_intents
from imeiflow.ledger.late import write_odd

Verdict = AttemptId | Concluded | Exception


def write_together(
    connection: Connection, intents: Sequence[Intent], conclusions: Sequence[Conclusion]
) -> list[Verdict]:
    """Write all of the group; any exception means that the transaction must be rolled back.

    Verdicts stand in the order of the intents, then of the conclusions.
    """
    verdicts: list[Verdict] = []
    write_conclusions(connection, conclusions)
    verdicts += write_intents(connection, intents)
    verdicts += [Concluded(late=False, applied=len(conclusion.changes)) for conclusion in conclusions]
    return verdicts


def write_apart(
    connection: Connection,
    intents: Sequence[Intent],
    conclusions: Sequence[Conclusion],
    *,
    path: str,
    now: datetime,
) -> list[Verdict]:
    """Write what can be written of the group: a change that does not fit fails alone.

    Those to blame are found first, so that the rest is written by the same few statements; should that fail
    too, each change gets a savepoint of its own. Verdicts as in `write_together`.
    """
    concluded = _conclude_apart(connection, conclusions, path, now)
    refused = find_refused(connection, intents, path) if intents else {}
    rest = [intent for position, intent in enumerate(intents) if position not in refused]
    written = iter(_write_rest(connection, rest, path))
    return [refused[position] if position in refused else next(written) for position in range(len(intents))] + concluded


def _conclude_apart(
    connection: Connection, conclusions: Sequence[Conclusion], path: str, now: datetime
) -> list[Verdict]:
    odd = find_odd(connection, conclusions) if conclusions else set()
    plain = [conclusion for position, conclusion in enumerate(conclusions) if position not in odd]
    try:
        with connection.begin_nested():
            write_conclusions(connection, plain)
    except Exception as error:
        if is_trouble(error):
            raise
        odd = set(range(len(conclusions)))
    return [
        _attempt(connection, partial(write_odd, conclusion=conclusion, path=path, now=now), path)
        if position in odd
        else Concluded(late=False, applied=len(conclusion.changes))
        for position, conclusion in enumerate(conclusions)
    ]


def _write_rest(connection: Connection, intents: Sequence[Intent], path: str) -> list[Verdict]:
    try:
        with connection.begin_nested():
            return list(write_intents(connection, intents))
    except Exception as error:
        if is_trouble(error):
            raise
    return [_attempt(connection, partial(_write_one, intent), path) for intent in intents]


def _write_one(intent: Intent, connection: Connection) -> AttemptId:
    return write_intents(connection, [intent])[0]


def _attempt(connection: Connection, write: Callable[[Connection], Verdict], path: str) -> Verdict:
    try:
        with connection.begin_nested():
            return write(connection)
    except ImeiflowError as error:
        return error
    except DATABASE_ERRORS as error:
        if is_trouble(error):
            raise
        return translate(error, path)
    except Mismatch:
        return translate(Mismatch("orders changed meanwhile"), path)
