"""The background poller of one account: it follows accepted orders to their results, beside whatever is placed.

It owns the lane only while something is due, and works for the jobs that run meanwhile, as a runner does. While
another process owns the lane, that one asks; this one looks on, and takes over when it has gone.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from imeiflow.dispatch.clock import Clock
from imeiflow.dispatch.poll import PollView
from imeiflow.jobs.goal import EndlessGoal, Goal
from imeiflow.jobs.runner import LaneAccount, Runner
from imeiflow.ledger.ledger import Ledger


class Tracker:
    """Follows the accepted orders of one account until `goal` is met; without one, until it is stopped.

    `on_change` is called in the event loop when something a person sees has changed. A web application starts one for
    each account with `asyncio.create_task(tracker.run())`, and ends it with `stop`.
    """

    def __init__(
        self,
        *,
        ledger: Ledger,
        account: LaneAccount,
        clock: Clock,
        home: Path,
        goal: Goal | None = None,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        self._goal = goal or EndlessGoal()
        self._runner = Runner(ledger=ledger, account=account, clock=clock, home=home, on_change=on_change)

    async def run(self) -> None:
        """Ask for statuses until the goal is met, `stop` was called, or the account itself is turned away.

        Raises what the engine raises. Nothing that the user could want is lost by ending it at any moment.
        """
        await self._runner.follow(self._goal)

    def stop(self) -> None:
        """Ask nothing more; calls under way go on to their end, and jobs that run are left running."""
        self._runner.stop(pause=None)

    async def abandon(self) -> None:
        """Leave at once: orders that are being placed meanwhile become unconfirmed."""
        await self._runner.abandon()

    @property
    def owner(self) -> str | None:
        """Say who owns the lane and asks, while that is another process."""
        return self._runner.busy_owner

    @property
    def halted(self) -> str:
        """Say why it has given up: the account was turned away, or nobody answers. Empty while it has not."""
        return self._runner.halted

    def view(self) -> PollView | None:
        """Give what a person sees of the polling; None where this process has not asked yet."""
        return self._runner.poll_view()
