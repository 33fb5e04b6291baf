"""The states of orders, as the terminal names and counts them."""

from __future__ import annotations

from imeiflow.domain.order import OrderState
from imeiflow.domain.progress import Tally

#: The states in the order in which they are told; `sending` is called by what it means to whoever waits.
TOLD = (
    OrderState.ACCEPTED,
    OrderState.DUPLICATE,
    OrderState.REFUSED,
    OrderState.FAILED,
    OrderState.UNCONFIRMED,
    OrderState.QUEUED,
    OrderState.SENDING,
    OrderState.INVALID,
    OrderState.REPEATED,
    OrderState.CANCELLED,
)


def name_state(state: OrderState) -> str:
    """Give the word for a state; an order under way is called that."""
    return "under way" if state is OrderState.SENDING else state.value


def count_states(tally: Tally) -> list[tuple[OrderState, int]]:
    """List the states that any row is in, and how many; they add up to the total."""
    return [(state, tally[state]) for state in TOLD if tally[state]]
