"""All operations of the API, in the order in which the documents show them."""

from __future__ import annotations

from typing import Final

from imeiflow.web.api.operation import Operation
from imeiflow.web.api.resource import (
    catalogue,
    delivery,
    draft,
    export,
    job,
    order,
    settlement,
    spending,
    steering,
    sync,
    token,
)

OPERATIONS: Final[tuple[Operation, ...]] = (
    *draft.OPERATIONS,
    *job.OPERATIONS,
    *steering.OPERATIONS,
    *sync.OPERATIONS,
    *order.OPERATIONS,
    *export.OPERATIONS,
    *settlement.OPERATIONS,
    *catalogue.OPERATIONS,
    *spending.OPERATIONS,
    *delivery.OPERATIONS,
    *token.OPERATIONS,
)
