"""Who did what: what people ask for through the web is in the log of events, with their name."""

from __future__ import annotations

from imeiflow.domain.ident import JobId
from imeiflow.operations.session import Session

ACTION = "user_action"


def record_action(session: Session, actor: str, action: str, *, job: JobId | None = None, **data: object) -> None:
    """Keep what a user has done; `action` is a verb."""
    session.ledger.log_event(ACTION, job=job, actor=actor, data={"action": action, **data})
