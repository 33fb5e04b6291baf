"""Statuses and results at a server: called for once, then looked at until they are there. The server asks the provider.

Leaving changes nothing there: it goes on asking by itself.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from imeiflow.dispatch.poll import PollView
from imeiflow.domain.ident import AccountName, JobId
from imeiflow.domain.order import ResultStatus
from imeiflow.domain.status import StatusAnomalyKind
from imeiflow.ledger.status_record import StuckOrder
from imeiflow.operations.status_tally import StatusTally
from imeiflow.operations.sync import Asking, Synced, SyncProgress
from imeiflow.remote.client import Client
from imeiflow.remote.error import LostError, UnreachableError
from imeiflow.remote.reading import read_as

#: Seconds between two looks: soon at first, and at most so many.
_LOOKS_S: Final = (0.2, 1.0)
_LOOKS_WATCHING_S: Final = (0.5, 3.0)


class RemoteSync:
    """Has the statuses fetched of one job, or of all that are open; `watches`: until all is final."""

    def __init__(self, client: Client, job: JobId | None, *, watches: bool) -> None:
        self._client = client
        self._watches = watches
        self._began_at = time.monotonic()
        body = {} if job is None else {"job": job}
        self._first = self._told = client.act("/syncs", body)

    def run(
        self,
        on_look: Callable[[SyncProgress], None],
        on_trouble: Callable[[str], None] = lambda _: None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> Synced:
        """Look until it is over, and say how it ended. Leaving is a KeyboardInterrupt. Raises RemoteError, LostError.

        While it watches, a server that cannot be reached is waited for, and `on_trouble` hears why.
        """
        wait_s, longest_s = _LOOKS_WATCHING_S if self._watches else _LOOKS_S
        trouble = ""
        try:
            while not self._is_over():
                on_look(self._progress())
                sleep(wait_s)
                wait_s = min(longest_s, 1.3 * wait_s)
                try:
                    self._look()
                    trouble = ""
                except (UnreachableError, LostError) as error:
                    if not self._watches:
                        raise
                    if str(error) != trouble:
                        trouble = str(error)
                        on_trouble(trouble)
        except KeyboardInterrupt:
            return self._conclude(was_interrupted=True)
        return self._conclude(was_interrupted=False)

    def _look(self) -> None:
        told = self._client.get("/syncs", job=self._first["jobs"], since=self._first["since"])
        self._told = told

    def _is_over(self) -> bool:
        told = self._told
        if not told["jobs"] or told["is_final"] or self._reasons():
            return True
        return not told["waiting"] and (not self._watches or bool(told["open"] <= told["unknown"] + told["unusable"]))

    def _reasons(self) -> Mapping[AccountName, str]:
        """Say, by account, why it ends early: it was turned away; or nobody answers, where nothing is waited for."""
        return {AccountName(one["account"]): reason for one in self._told["accounts"] if (reason := self._explain(one))}

    def _explain(self, asking: Mapping[str, Any]) -> str:
        if asking["halted"] or self._watches or not asking["unreached"]:
            return str(asking["halted"])
        return f"the provider cannot be reached: {asking['trouble']}"

    def _progress(self) -> SyncProgress:
        told = self._told
        return SyncProgress(
            jobs=tuple(map(JobId, told["jobs"])),
            tally=_read_tally(told),
            askings=tuple(self._read_askings()),
            next_due_at=_read_time(told["next_due_at"]),
            now=read_as(told["now"], datetime),
            anomalies=sum(told["anomalies"].values()),
            elapsed_s=time.monotonic() - self._began_at,
            interruptions=0,
        )

    def _read_askings(self) -> Iterator[Asking]:
        for one in self._told["accounts"]:
            asked, calls = self._count(one)
            view = PollView(
                asked=asked,
                calls=calls,
                orders_per_s=float(one["orders_per_s"]),
                calls_per_s=float(one["calls_per_s"]),
                waiting=int(self._told["waiting"]),
                under_way=0,
                next_due_at=_read_time(one["next_due_at"]),
                ids_per_call=int(one["ids_per_call"]),
                ids_reason="",
                changes={},
                anomalies={},
                failures=0,
                trouble=str(one["trouble"]),
                halted=str(one["halted"]),
            )
            yield Asking(account=AccountName(one["account"]), view=view, owner=one["owner"])

    def _count(self, asking: Mapping[str, Any]) -> tuple[int, int]:
        """Count the orders and calls of an account since it was called for; a server that began anew counts from 0."""
        before = next((one for one in self._first["accounts"] if one["account"] == asking["account"]), None)
        asked, calls = int(asking["asked"]), int(asking["calls"])
        if before is None or asked < before["asked"] or calls < before["calls"]:
            return asked, calls
        return asked - int(before["asked"]), calls - int(before["calls"])

    def _conclude(self, *, was_interrupted: bool) -> Synced:
        told, before = self._told, self._first
        counts = [self._count(one) for one in told["accounts"]]
        came = {status: told[status.value] - before[status.value] for status in ResultStatus if status.is_final}
        known = Counter(before["anomalies"])
        kinds = {StatusAnomalyKind(kind): number for kind, number in told["anomalies"].items()}
        fresh = {kind: number - known[kind.value] for kind, number in kinds.items()}
        return Synced(
            jobs=tuple(map(JobId, told["jobs"])),
            tally=_read_tally(told),
            came={status: number for status, number in came.items() if number > 0},
            anomalies=kinds,
            fresh={kind: number for kind, number in fresh.items() if number > 0},
            asked=sum(asked for asked, _ in counts),
            calls=sum(calls for _, calls in counts),
            next_due_at=_read_time(told["next_due_at"]),
            now=read_as(told["now"], datetime),
            seconds=time.monotonic() - self._began_at,
            was_interrupted=was_interrupted,
            reasons=self._reasons(),
            stuck=read_as(told["stuck"], tuple[StuckOrder, ...]),
        )


def _read_tally(told: Mapping[str, Any]) -> StatusTally:
    counts: dict[ResultStatus | None, int] = {status: int(told[status.value]) for status in ResultStatus}
    counts[None] = int(told["unheard"])
    return StatusTally(
        counts={status: number for status, number in counts.items() if number},
        open=int(told["open"]),
        unknown=int(told["unknown"]),
        unusable=int(told["unusable"]),
    )


def _read_time(told: str | Decimal | None) -> datetime | None:
    return None if told is None else read_as(told, datetime)
