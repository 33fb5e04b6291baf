"""What others are told of, and how far its telling is. Pure values."""

from __future__ import annotations

from enum import StrEnum


class Told(StrEnum):
    """What can be told to a webhook."""

    JOB_FINISHED = "job.finished"
    JOB_PAUSED = "job.paused"
    ORDER_COMPLETED = "order.completed"  #: its result is there
    ORDER_REJECTED = "order.rejected"  #: the provider could not do it
    ORDER_UNCONFIRMED = "order.unconfirmed"  #: left in doubt when its job ended or paused

    @property
    def is_of_orders(self) -> bool:
        """Say whether it is told of orders, many of them at once, or else of a job."""
        return self.value.startswith("order.")


#: What `imeiflow webhooks test` sends.
TEST = "webhook.test"


class DeliveryState(StrEnum):
    """How far a delivery is."""

    PENDING = "pending"  #: not delivered yet; tried again when it is due
    DELIVERED = "delivered"  #: the receiver has said so
    FAILED = "failed"  #: given up
