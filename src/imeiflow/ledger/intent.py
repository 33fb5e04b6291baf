"""Writing down intents: the attempt and its orders are durable before the call leaves.

One statement for all rows of a group (see `bulk`). A group that does not fit as a whole changes nothing here:
`Mismatch` asks the caller to roll back and to find out by `find_refused` which intents are to blame.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from sqlalchemy import (
    Boolean,
    Connection,
    Integer,
    Text,
    and_,
    func,
    insert,
    literal,
    null,
    or_,
    select,
    update,
)

from imeiflow.domain.ident import AttemptId
from imeiflow.domain.order import JobState, OrderState, may_follow
from imeiflow.domain.outcome import Outcome
from imeiflow.errors import FencedError, GuardError, LedgerError
from imeiflow.ledger.bulk import Bulk
from imeiflow.ledger.cell import Instant, encode_rows, to_micros
from imeiflow.ledger.change import UNSTOPPED, AttemptKind, Intent
from imeiflow.ledger.dialect import Listing, block_rows, json_rows, next_ids
from imeiflow.ledger.fault import Mismatch
from imeiflow.ledger.schema import Id, attempt, attempt_order, job, lane, orders

_new = block_rows(
    id=Id,
    job_id=Id,
    account=Text(),
    kind=Text(),
    size=Integer(),
    token=Integer(),
    started_at=Instant(),
    unstopped=Boolean(),
)
_INSERT_ATTEMPTS = Bulk(
    insert(attempt).from_select(
        ["id", "job_id", "account", "kind", "size", "token", "started_at"],
        select(_new.c.id, _new.c.job_id, _new.c.account, _new.c.kind, _new.c.size, _new.c.token, _new.c.started_at)
        .join(lane, and_(lane.c.account == _new.c.account, lane.c.token == _new.c.token, lane.c.released_at.is_(None)))
        .join(
            job,
            and_(
                job.c.id == _new.c.job_id,
                job.c.account == _new.c.account,
                or_(_new.c.unstopped, and_(job.c.state == JobState.RUNNING.value, job.c.wanted.is_(None))),
            ),
        ),
    ),
    len(_new.c),
)

_sent = block_rows(order_id=Id, job_id=Id, expected=Text(), attempt_id=Id)
_CLAIM_ORDERS = Bulk(
    update(orders)
    .where(orders.c.id == _sent.c.order_id, orders.c.job_id == _sent.c.job_id, orders.c.state == _sent.c.expected)
    .values(state=OrderState.SENDING.value, attempt_id=_sent.c.attempt_id),
    len(_sent.c),
)
#: A probe repeats orders that stay accepted: until its conclusion, each may have been charged a second time.
_INSERT_PROBED = Bulk(
    insert(attempt_order).from_select(
        ["order_id", "attempt_id", "outcome", "reference", "message", "price", "charges", "settled_at"],
        select(
            _sent.c.order_id,
            _sent.c.attempt_id,
            literal(Outcome.UNCONFIRMED.value),
            null(),
            null(),
            null(),
            literal(0),
            null(),
        ).join(
            orders,
            and_(
                orders.c.id == _sent.c.order_id, orders.c.job_id == _sent.c.job_id, orders.c.state == _sent.c.expected
            ),
        ),
    ),
    len(_sent.c),
)

#: The values of enums as the driver takes them: looked up, they cost a third of `.value`.
_TEXTS: dict[StrEnum, str] = {member: member.value for enum in (OrderState, AttemptKind) for member in enum}

_asked = json_rows(position=Integer(), order_id=Id, job_id=Id, expected=Text())
_MATCHING = Listing(
    select(_asked.c.position, func.count())
    .join(
        orders,
        and_(orders.c.id == _asked.c.order_id, orders.c.job_id == _asked.c.job_id, orders.c.state == _asked.c.expected),
    )
    .group_by(_asked.c.position)
)


def check_intent(intent: Intent, path: str) -> None:
    """Raise GuardError where `intent` asks for a change that no order may make."""
    allowed = (
        intent.expected is OrderState.ACCEPTED
        if intent.kind is AttemptKind.PROBE
        else may_follow(intent.expected, OrderState.SENDING)
    )
    if not allowed:
        raise GuardError(path=path, problem=f"a {intent.kind} cannot send orders that are {intent.expected}")
    if not intent.orders or len(set(intent.orders)) != len(intent.orders):
        raise GuardError(path=path, problem="an attempt needs orders, each one once")


def write_intents(connection: Connection, intents: Sequence[Intent]) -> list[AttemptId]:
    """Write all of `intents` within the transaction and give their attempts; raise Mismatch if one does not fit."""
    if not intents:
        return []
    ids = next_ids(connection, attempt, len(intents))
    begun: list[object] = []
    claimed: list[object] = []
    probed: list[object] = []
    for id_, intent in zip(ids, intents, strict=True):
        job_id, state, orders_ = intent.job, _TEXTS[intent.expected], intent.orders
        begun += (
            id_,
            job_id,
            intent.account,
            _TEXTS[intent.kind],
            len(orders_),
            intent.token,
            to_micros(intent.started_at),
            int(intent.kind in UNSTOPPED),
        )
        target = probed if intent.kind is AttemptKind.PROBE else claimed
        for order in orders_:
            target += (order, job_id, state, id_)
    for statement, values in ((_INSERT_ATTEMPTS, begun), (_CLAIM_ORDERS, claimed), (_INSERT_PROBED, probed)):
        if values and statement.run(connection, values) * statement.width != len(values):
            raise Mismatch
    return [AttemptId(id_) for id_ in ids]


def find_refused(connection: Connection, intents: Sequence[Intent], path: str) -> dict[int, LedgerError]:
    """Find the intents that cannot be written, by position, each with its error."""
    lanes = {row.account: row for row in connection.execute(select(lane))}
    wanted = {intent.job for intent in intents}
    jobs = {
        row.id: row
        for row in connection.execute(
            select(job.c.id, job.c.account, job.c.state, job.c.wanted).where(job.c.id.in_(wanted))
        )
    }
    asked = [
        (position, order, intent.job, intent.expected.value)
        for position, intent in enumerate(intents)
        for order in intent.orders
    ]
    matching: dict[int, int] = dict(_MATCHING.fetch(connection, {"rows": encode_rows(asked)}))
    refused: dict[int, LedgerError] = {}
    taken: set[int] = set()
    for position, intent in enumerate(intents):
        owner, its_job = lanes.get(intent.account), jobs.get(intent.job)
        problem = ""
        if owner is None or owner.token != intent.token or owner.released_at is not None:
            refused[position] = FencedError(account=intent.account, path=path)
        elif its_job is None or its_job.account != intent.account:
            problem = f"account {intent.account} has no job {intent.job}"
        elif intent.kind not in UNSTOPPED and (its_job.state != JobState.RUNNING or its_job.wanted is not None):
            problem = f"job {intent.job} is {its_job.wanted or its_job.state}: it sends nothing more"
        elif matching.get(position, 0) != len(intent.orders):
            missing = len(intent.orders) - matching.get(position, 0)
            problem = f"{missing} of {len(intent.orders)} orders are not {intent.expected} any more"
        elif intent.kind is not AttemptKind.PROBE and not taken.isdisjoint(intent.orders):
            problem = "another attempt took the same orders at the same moment"
        if problem:
            refused[position] = GuardError(path=path, problem=problem)
        elif position not in refused and intent.kind is not AttemptKind.PROBE:
            taken.update(intent.orders)
    return refused
