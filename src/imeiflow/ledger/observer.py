"""Who looks on while the writer writes: told of what has become durable, never before. May not raise, nor wait."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from imeiflow.domain.ident import AttemptId
from imeiflow.ledger.change import Conclusion, Intent


class Observer(Protocol):
    """Counts what has been written. Called in the writer's thread."""

    def committed(self, seconds: float, begun: Sequence[tuple[AttemptId, Intent]], ended: Sequence[Conclusion]) -> None:
        """Note a transaction that took `seconds`, and the beginnings and ends of attempts that it made durable."""
        ...

    def failed(self) -> None:
        """Note a transaction that could not be written."""
        ...
