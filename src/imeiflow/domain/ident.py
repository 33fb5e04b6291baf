"""Names for the ids that pass between the layers, so that one is never taken for another."""

from __future__ import annotations

from typing import NewType

AccountName = NewType("AccountName", str)  #: the name of an account in `config.toml`
ServiceId = NewType("ServiceId", str)  #: the provider's own id of a service (GSM Fusion: PackageId)
JobId = NewType("JobId", int)
OrderId = NewType("OrderId", int)
AttemptId = NewType("AttemptId", int)
Reference = NewType("Reference", str)  #: the provider's own id of an order
Token = NewType("Token", int)  #: a lane owner's fencing token; the highest one is the owner
UserId = NewType("UserId", int)
