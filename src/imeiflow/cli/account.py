"""`imeiflow account`: credit, settings without the key, and what was learned about limits."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

from imeiflow.cli.frame import open_session
from imeiflow.cli.option import account_option, command, json_option
from imeiflow.cli.output import print_json, show_time, tell
from imeiflow.errors import ImeiflowError
from imeiflow.ledger.record import LaneOwner, Learned
from imeiflow.operations.account import AccountSettings
from imeiflow.operations.account_view import name_learned, say_learned
from imeiflow.operations.catalogue import Credit, fetch_credit
from imeiflow.operations.json_object import SHOWN_SETTINGS, describe_account, name_key_place, read_shown_setting
from imeiflow.operations.json_text import clean
from imeiflow.operations.session import Session

_WIDTH = 22


@command(
    examples="""
    imeiflow account
    imeiflow account --account shop --json
    """
)
@account_option
@json_option
def account(account: str | None, is_json: bool) -> None:
    """Show an account: its credit where the provider tells it, its settings, what was learned about its limits.

    Asks the provider for nothing but the credit. The key is never shown.
    """
    with open_session() as session:
        chosen = session.configuration.choose_account(account)
        credit = _ask_credit(session, chosen)
        learned = session.ledger.learned(chosen.name)
        owner = session.ledger.lane_owner(chosen.name)
        is_busy = not session.lane_lock(chosen.name).is_free()
    if is_json:
        print_json(describe_account(chosen, credit, learned))
        return
    tell(_tell_account(chosen, credit, learned, owner if is_busy else None))


def _ask_credit(session: Session, chosen: AccountSettings) -> Credit:
    """Ask for the credit; that there is no answer does not hide the rest."""
    try:
        return asyncio.run(fetch_credit(session.configuration, chosen))
    except ImeiflowError as error:
        return Credit(account=chosen.name, balance=None, problem=str(error))


def _tell_account(
    chosen: AccountSettings, credit: Credit, learned: Sequence[Learned], owner: LaneOwner | None
) -> Iterator[str]:
    yield f"Account {chosen.name}"
    shown = str(credit.balance) if credit.balance is not None else f"not told: {clean(credit.problem)}"
    yield _line("credit", shown)
    for name in SHOWN_SETTINGS:
        value = read_shown_setting(chosen, name)
        if value not in {None, "", False}:
            yield _line(name, f"{value:g} a minute" if name == "rate_per_min" else str(value))
    yield _line("key", f"from {name_key_place(chosen)}; never shown")
    if owner is not None:
        yield _line("in use by", owner.owner or "another process")
    yield ""
    yield "Learned about its limits" if learned else "Nothing was learned about its limits yet."
    for one in learned:
        pinned = ", pinned by you" if one.pinned else ""
        yield _line(name_learned(one), f"{clean(say_learned(one))}  ({show_time(one.learned_at)}{pinned})")
        yield f"    {clean(one.reason)}"


def _line(name: str, value: str) -> str:
    return f"  {name:<{_WIDTH}}  {value}".rstrip()
