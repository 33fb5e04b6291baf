from __future__ import annotations

from collections.abc import Iterator

import pytest
import structlog


@pytest.fixture(autouse=True)
def log() -> Iterator[None]:
    """Leave the log as it was: a command that was run in this process has it drop what comes after."""
    yield
    structlog.reset_defaults()
