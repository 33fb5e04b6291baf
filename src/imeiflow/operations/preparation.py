"""Lists that are being prepared to be ordered: kept on disk, read in the background, shown, changed, confirmed once.

Sends nothing before it is confirmed. What is not confirmed in time is discarded with its file.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Final

import structlog

from imeiflow.domain.ident import JobId, ServiceId
from imeiflow.errors import ImeiflowError, LedgerError, UsageError
from imeiflow.intake.column import show_letter
from imeiflow.jobs.lock import LaneLock
from imeiflow.operations.audit import record_action
from imeiflow.operations.column_memory import recall_column, remember_column
from imeiflow.operations.session import Session
from imeiflow.operations.submit import Draft, PriceChangedError, Proposal, Request, read_list
from imeiflow.operations.upload_folder import LIST, UploadFolders

log = structlog.get_logger(__name__)

#: From this cost on the amount has to be typed.
TYPED_FROM: Final = Decimal(100)
MOST_ROWS: Final = 2_000_000
_KEPT: Final = timedelta(hours=4)


class UnknownPreparationError(UsageError):
    """This list is not here any more."""

    remedy = "Drop it again: lists that are not ordered are kept for a few hours, and not over a restart."


class NotTypedError(UsageError):
    """To order for {figure}, type that figure."""

    remedy = "Nothing was ordered."


class BusyPreparationError(UsageError):
    """This list is still being read, or could not be."""

    remedy = "Wait until its preview is there."


class ChangedPreparationError(UsageError):
    """This list is not read any more as it was when it was shown."""

    remedy = "Nothing was ordered. Look at what it would order and cost now, and confirm that."


class Stage(StrEnum):
    """How far a preparation is."""

    READING = "reading"
    READY = "ready"
    FAILED = "failed"
    ORDERED = "ordered"


@dataclass(slots=True, kw_only=True)
class Preparation:
    """One list on its way to be ordered. `rows` counts what was read so far."""

    id: str
    owner: str
    folder: Path
    began_at: datetime
    request: Request
    stage: Stage = Stage.READING
    rows: int = 0
    recalls: bool = False  #: takes the column that its owner chose for such a list before
    is_recalled: bool = False
    error: ImeiflowError | None = None
    proposal: Proposal | None = None
    job: JobId | None = None
    draft: Draft | None = None
    version: int = 1  #: of what it proposes: another one is another list, or another price
    turn: int = 0  #: of reading: an older one that ends late counts for nothing
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def figure(self) -> str | None:
        """Give what has to be typed to confirm: the amount, or the count where no price is known; None for nothing."""
        if self.proposal is None:
            return None
        cost = self.proposal.cost
        if cost is None:
            return str(self.proposal.preview.valid)
        return f"{cost.amount:.2f}" if cost.amount >= TYPED_FROM else None


class Preparations:
    """All lists that are being prepared. `on_change` hears, in some thread, which one has changed."""

    def __init__(
        self, session: Session, on_change: Callable[[str], None] = lambda _: None, *, most_rows: int = MOST_ROWS
    ) -> None:
        self._session = session
        self._most_rows = most_rows
        self._on_change = on_change
        self._folders = UploadFolders(Path(session.ledger.path).parent / "uploads")
        self._known: dict[str, Preparation] = {}
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(2, thread_name_prefix="prepare")

    def make_folder(self, owner: str, purpose: str = LIST) -> Path:
        """Make a private place for an upload. Raises UsageError where a user has too many lists waiting."""
        self._discard_old()
        return self._folders.make(owner, purpose, self._session.clock.now())

    def find_folder(self, name: str, owner: str, purpose: str) -> Path:
        """Give the place of an upload that a user made for a purpose before. Raises UnknownPreparationError."""
        found = self._folders.find(name, owner, purpose)
        if found is None:
            raise UnknownPreparationError
        return found

    def begin(self, folder: Path, owner: str, request: Request, *, recalls: bool = False) -> Preparation:
        """Begin to read the list that was put into `folder` (`list_path`).

        `recalls`: where no column is named, the one that the owner chose for a list of the same headings before.
        """
        now = self._session.clock.now()
        made = Preparation(id=folder.name, owner=owner, folder=folder, began_at=now, request=request, recalls=recalls)
        with self._lock:
            self._known[made.id] = made
        with made.lock:
            self._read(made)
        return made

    def find(self, id_: str, owner: str) -> Preparation:
        """Give a preparation of a user. Raises UnknownPreparationError."""
        with self._lock:
            found = self._known.get(id_)
        if found is None or found.owner != owner:
            raise UnknownPreparationError
        return found

    def change(
        self, one: Preparation, *, service: ServiceId, account: str | None, column: str | None, again: bool
    ) -> None:
        """Read the list again, otherwise."""
        with one.lock:
            if one.stage is Stage.ORDERED:
                return
            self._drop_draft(one)
            if one.recalls and column is not None and one.proposal is not None:
                remember_column(self._session, one.owner, one.proposal.columns, column)
            one.is_recalled = False
            one.request = replace(one.request, service=service, account=account, column=column, again=again)
            one.version += 1
            self._read(one)

    def confirm(
        self,
        one: Preparation,
        *,
        typed: str,
        max_spend: Decimal | None,
        trial: int | None,
        version: int | None = None,
    ) -> tuple[JobId, LaneLock | None]:
        """Order it, once: asked again it gives the same job, without a lock. Whoever gets the lock answers for the job.

        `version` is that of what the person saw. Raises ChangedPreparationError where it is another by now,
        NotTypedError, BusyPreparationError, and what `Draft.start` raises; nothing was ordered then. After
        PriceChangedError the proposal is that of today's price.
        """
        with one.lock:
            if one.job is not None:
                return one.job, None
            if version is not None and version != one.version:
                raise ChangedPreparationError
            if one.stage is not Stage.READY or one.draft is None or one.proposal is None:
                raise BusyPreparationError
            if one.figure is not None and not _is_same(typed, one.figure):
                raise NotTypedError(figure=one.figure)
            try:
                one.proposal = one.draft.start(one.proposal, trial=trial, max_spend=max_spend)
            except PriceChangedError as error:
                one.proposal = error.proposal  # to be shown, and confirmed anew
                one.version += 1
                raise
            one.job, one.stage = one.draft.job, Stage.ORDERED
            lock = one.draft.lock
        told = {"count": one.proposal.preview.valid, "cost": str(one.proposal.cost or ""), "trial": trial}
        try:
            record_action(self._session, one.owner, "order", job=one.job, **told)
        except LedgerError as problem:  # it runs: whoever gets the lock has to know
            log.warning("order_not_logged", job=one.job, user=one.owner, error=str(problem), **told)
        shutil.rmtree(one.folder, ignore_errors=True)
        return one.job, lock

    def discard(self, one: Preparation) -> None:
        """Forget a list that was not ordered, with its file."""
        with one.lock:
            if one.stage is not Stage.ORDERED:
                self._drop_draft(one)
        with self._lock:
            self._known.pop(one.id, None)
        shutil.rmtree(one.folder, ignore_errors=True)

    def close(self) -> None:
        """Discard all lists that were not ordered: the server stops."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        for one in list(self._known.values()):
            self.discard(one)
        self._folders.drop_all()

    def _read(self, one: Preparation) -> None:
        """Begin to read a list anew; whoever calls holds its lock."""
        one.turn += 1
        one.stage, one.rows, one.error, one.proposal = Stage.READING, 0, None, None
        self._pool.submit(self._read_in, one, one.turn, one.request)

    def _read_in(self, one: Preparation, turn: int, request: Request) -> None:
        def count(rows: int) -> None:
            if rows > self._most_rows:
                raise UsageError(problem=f"it has over {self._most_rows:,} rows", remedy="Part it into several lists.")
            if turn == one.turn:
                one.rows = rows
            self._on_change(one.id)

        error: ImeiflowError | None = None
        draft, proposal, again = None, None, None
        try:
            draft, proposal = read_list(self._session, request, count)
            again = self._recall(one, request, proposal)
            if again is not None:
                draft.__exit__()
                draft, proposal = read_list(self._session, again, count)
        except ImeiflowError as problem:
            error = problem
        except Exception:  # a thread's error is seen by nobody else
            log.exception("not_read", preparation=one.id)
            error = UsageError(problem="it could not be read: an error of ours, which is in the log")
        with one.lock:
            if turn != one.turn or one.id not in self._known:
                if draft is not None:
                    draft.__exit__()
                return
            if again is not None:
                one.request, one.is_recalled = again, True
            one.draft, one.proposal, one.error = draft, proposal, error
            one.stage = Stage.FAILED if error is not None else Stage.READY
        self._on_change(one.id)

    def _recall(self, one: Preparation, request: Request, proposal: Proposal) -> Request | None:
        """Give the request by the column that the owner chose before; None where that changes nothing."""
        if not one.recalls or request.column is not None:
            return None
        column = recall_column(self._session, one.owner, proposal.columns)
        is_other = column is not None and column != show_letter(proposal.imei_column)
        return replace(request, column=column) if is_other else None

    def _drop_draft(self, one: Preparation) -> None:
        if one.draft is not None:
            one.draft.__exit__()
            one.draft = None

    def _discard_old(self) -> None:
        before = self._session.clock.now() - _KEPT
        for one in list(self._known.values()):
            if one.began_at < before:
                self.discard(one)
        self._folders.drop_older(before)


def clean_file_name(name: str) -> str:
    """Give a name to show: no path, nothing that is not printable, not too long."""
    base = name.replace("\\", "/").rpartition("/")[2]
    shown = "".join(letter for letter in base if letter.isprintable()).strip(" .")
    return shown[-120:] or "list"


def _is_same(typed: str, figure: str) -> bool:
    """Say whether somebody typed a figure: signs, spaces and thousands do not matter, the digits do."""
    digits = "".join(letter for letter in typed if (letter.isascii() and letter.isdigit()) or letter == ".")
    try:
        return Decimal(digits) == Decimal(figure)
    except ArithmeticError:
        return False
