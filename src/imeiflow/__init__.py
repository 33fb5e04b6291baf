"""imeiflow: large lists of IMEIs as paid orders to unlock and check providers, every one of them accounted for.

Names are imported when they are first used: `import imeiflow` alone costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from imeiflow.domain.money import Money
    from imeiflow.domain.order import JobState, OrderState, Policy, ResultStatus
    from imeiflow.errors import ImeiflowError
    from imeiflow.library.batch import BatchIMEIProcessor, get_recommended_settings
    from imeiflow.library.blocking import Client
    from imeiflow.library.client import AsyncClient
    from imeiflow.library.legacy import GSMFusionAPIError, GSMFusionClient, IMEIOrder, OrderStatus, ServiceInfo
    from imeiflow.library.report import Counts, Moment, Report

_PLACES: Final = {
    "AsyncClient": "library.client",
    "BatchIMEIProcessor": "library.batch",
    "Client": "library.blocking",
    "Counts": "library.report",
    "GSMFusionAPIError": "library.legacy",
    "GSMFusionClient": "library.legacy",
    "IMEIOrder": "library.legacy",
    "ImeiflowError": "errors",
    "JobState": "domain.order",
    "Moment": "library.report",
    "Money": "domain.money",
    "OrderState": "domain.order",
    "OrderStatus": "library.legacy",
    "Policy": "domain.order",
    "Report": "library.report",
    "ResultStatus": "domain.order",
    "ServiceInfo": "library.legacy",
    "get_recommended_settings": "library.batch",
}

__all__ = [
    "AsyncClient",
    "BatchIMEIProcessor",
    "Client",
    "Counts",
    "GSMFusionAPIError",
    "GSMFusionClient",
    "IMEIOrder",
    "ImeiflowError",
    "JobState",
    "Moment",
    "Money",
    "OrderState",
    "OrderStatus",
    "Policy",
    "Report",
    "ResultStatus",
    "ServiceInfo",
    "get_recommended_settings",
]


def __getattr__(name: str) -> Any:
    place = _PLACES.get(name)
    if place is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{place}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_PLACES})
