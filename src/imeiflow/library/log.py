"""Where what imeiflow logs goes in another's program: to `logging`, as a library's words should."""

from __future__ import annotations

import logging

import structlog


def log_by_standard_library() -> None:
    """Let the logs go through `logging`, under `imeiflow`, unless the program has set up structlog itself."""
    if structlog.is_configured():
        return
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.processors.format_exc_info,
            structlog.processors.KeyValueRenderer(key_order=["event"]),
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    logging.getLogger("imeiflow").addHandler(logging.NullHandler())
