"""Answers to requests that came with a key, kept so that the same request asked again changes nothing twice.

A key is claimed, durably, before its request is carried out; the answer takes the place of the claim.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from sqlalchemy import Connection, delete, insert, select, update

from imeiflow.domain.ident import JobId, UserId
from imeiflow.ledger.access import Access
from imeiflow.ledger.identity_schema import api_answer

#: How long an answer is kept at least.
KEPT_FOR: Final = timedelta(hours=48)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptAnswer:
    """What became of a request. `status` is None while it is carried out, by the process `owner`.

    `job` is what it was about to order, or ordered.
    """

    digest: str
    owner: str
    job: JobId | None
    status: int | None
    body: str


class Answers(Access):
    """The part of the ledger that remembers requests."""

    def claim_request(self, user: UserId, key: str, *, digest: str, owner: str) -> KeptAnswer | None:
        """Claim a user's key for a request and give None; where it is claimed already, give what is known of it.

        A claim of another process, which has ended over it, is taken over: it is given, and is now `owner`'s.
        """
        now = self.clock()
        mine = (api_answer.c.user_id == user, api_answer.c.key == key)

        def claim(connection: Connection) -> KeptAnswer | None:
            connection.execute(delete(api_answer).where(api_answer.c.created_at < now - KEPT_FOR))
            row = connection.execute(select(api_answer).where(*mine)).one_or_none()
            if row is None:
                values = {"user_id": user, "key": key, "digest": digest, "owner": owner, "created_at": now}
                connection.execute(insert(api_answer).values(values))
                return None
            if row.status is None and row.owner != owner and row.digest == digest:
                connection.execute(update(api_answer).where(*mine).values(owner=owner))
            return KeptAnswer(
                digest=row.digest, owner=row.owner, job=row.job_id, status=row.status, body=row.body or ""
            )

        return self._write(claim)

    def note_request(self, user: UserId, key: str, job: JobId) -> None:
        """Note, before it is done, which job a request is about to order."""
        query = update(api_answer).where(api_answer.c.user_id == user, api_answer.c.key == key)
        self._write(lambda c: c.execute(query.values(job_id=job)))

    def keep_answer(self, user: UserId, key: str, *, status: int, body: str) -> None:
        """Keep the answer to a request whose key was claimed."""
        query = update(api_answer).where(api_answer.c.user_id == user, api_answer.c.key == key)
        self._write(lambda c: c.execute(query.values(status=status, body=body)))

    def release_request(self, user: UserId, key: str) -> None:
        """Give a claimed key back: its request was turned away, and changed nothing."""
        query = delete(api_answer).where(
            api_answer.c.user_id == user, api_answer.c.key == key, api_answer.c.status.is_(None)
        )
        self._write(lambda c: c.execute(query))
