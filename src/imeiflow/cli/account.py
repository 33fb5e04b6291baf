"""`imeiflow account`: credit, settings without the key, and what was learned about limits."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from imeiflow.cli.frame import open_session
from imeiflow.cli.option import account_option, command, json_option
from imeiflow.cli.output import print_json, show_time, tell
from imeiflow.cli.server import find_client, name_only_account
from imeiflow.domain.money import Money
from imeiflow.errors import ImeiflowError
from imeiflow.ledger.record import Learned
from imeiflow.operations.account import AccountSettings
from imeiflow.operations.account_view import find_lane_user, name_learned, say_learned
from imeiflow.operations.catalogue import Credit, fetch_credit
from imeiflow.operations.json_object import SHOWN_SETTINGS, describe_account
from imeiflow.operations.json_text import clean
from imeiflow.operations.session import Session
from imeiflow.remote.reading import read_learned

_WIDTH = 22


@command(
    examples="""
    imeiflow account
    imeiflow account --account shop --json
    """,
    is_remote=True,
)
@account_option
@json_option
def account(account: str | None, is_json: bool) -> None:
    """Show an account: its credit where the provider tells it, its settings, what was learned about its limits.

    Asks the provider for nothing but the credit. The key is never shown.
    """
    client = find_client()
    if client is not None:
        told = client.get(f"/accounts/{account or name_only_account(client)}")
        learned = read_learned(told)
    else:
        with open_session() as session:
            chosen = session.configuration.choose_account(account)
            credit = _ask_credit(session, chosen)
            learned = session.ledger.learned(chosen.name)
            told = describe_account(chosen, credit, learned, find_lane_user(session, chosen.name))
    if is_json:
        print_json(told)
        return
    tell(_tell_account(told, learned))


def _ask_credit(session: Session, chosen: AccountSettings) -> Credit:
    """Ask for the credit; that there is no answer does not hide the rest."""
    try:
        return asyncio.run(fetch_credit(session.configuration, chosen))
    except ImeiflowError as error:
        return Credit(account=chosen.name, balance=None, problem=str(error))


def _tell_account(told: Mapping[str, Any], learned: Sequence[Learned]) -> Iterator[str]:
    yield f"Account {told['name']}"
    is_told = told["credit"] is not None
    shown = Money(told["credit"], told["credit_currency"]) if is_told else clean(told["credit_problem"] or "")
    yield _line("credit", str(shown) if is_told else f"not told: {shown}")
    for name in SHOWN_SETTINGS:
        value = told[name]
        if value not in {None, "", False}:
            yield _line(name, f"{value:g} a minute" if name == "rate_per_min" else str(value))
    yield _line("key", f"from {told['key_from']}; never shown")
    if told["in_use_by"] is not None:
        yield _line("in use by", told["in_use_by"])
    yield ""
    yield "Learned about its limits" if learned else "Nothing was learned about its limits yet."
    for one in learned:
        pinned = ", pinned by you" if one.pinned else ""
        yield _line(name_learned(one), f"{clean(say_learned(one))}  ({show_time(one.learned_at)}{pinned})")
        yield f"    {clean(one.reason)}"


def _line(name: str, value: str) -> str:
    return f"  {name:<{_WIDTH}}  {value}".rstrip()
