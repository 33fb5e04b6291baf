"""An empty ledger to begin a test with: made once by all migrations, then copied.

Making one anew is tested where a test opens a ledger itself, in `tests/ledger` above all.
"""

from __future__ import annotations

import functools
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from imeiflow.domain.ident import AttemptId
from imeiflow.ledger.change import Intent
from imeiflow.ledger.ledger import Ledger


def cast_ledger(path: Path) -> Path:
    """Put an empty ledger at `path`, unless there is one, as opening it for the first time would; give the path."""
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_bytes(_mould())
    return path


async def record(ledger: Ledger, intent: Intent) -> AttemptId:
    """Record an intent, for who has no event loop yet."""
    return await ledger.intend(intent)


@functools.cache
def _mould() -> bytes:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "ledger.sqlite"
        Ledger.open(path, clock=lambda: datetime.now(UTC)).close()
        return path.read_bytes()
