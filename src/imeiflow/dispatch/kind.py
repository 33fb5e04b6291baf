"""What can be learned, and is remembered, about an account: the kinds under which the ledger keeps it."""

from __future__ import annotations

from typing import Final

from imeiflow.domain.ident import ServiceId

LANE_KIND: Final = "lane"
CHUNK_KIND: Final = "chunk_size"
LIMITS_KIND: Final = "limits"  #: calls at once and calls a minute, pinned by the user
IDS_KIND: Final = "ids_per_call"  #: how many ids one call may carry, learned for the account as a whole
WHOLE_ACCOUNT: Final = ServiceId("")
