"""What is said of the money before a list is ordered: what running jobs may still take is not there for it."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from imeiflow.cli.preview import tell_proposal
from imeiflow.domain.ident import AccountName, ServiceId
from imeiflow.domain.money import Money
from imeiflow.intake.preview import Preview
from imeiflow.operations.catalogue import Credit, PriceList
from imeiflow.operations.earlier import Earlier
from imeiflow.operations.json_object import describe_proposal
from imeiflow.operations.json_text import dump_json
from imeiflow.operations.submit import Proposal
from imeiflow.remote.reading import read_proposal

ACCOUNT = AccountName("gsm-fusion")


def propose(balance: str | None, outstanding: str | None) -> Proposal:
    """Propose ten orders of 0.08 each."""
    money = None if balance is None else Money(Decimal(balance), "USD")
    taken = None if outstanding is None else Decimal(outstanding)
    return Proposal(
        source="stock.csv",
        notes=(),
        account=ACCOUNT,
        service=ServiceId("1"),
        service_name="check",
        price=Money(Decimal("0.08"), "USD"),
        prices=PriceList(account=ACCOUNT, services=(), is_fresh=True),
        credit=Credit(account=ACCOUNT, balance=money, outstanding=taken, problem="it says nothing"),
        preview=Preview(total=10, valid=10),
        earlier=Earlier(again=False),
        max_spend=None,
    )


@pytest.mark.parametrize(
    ("balance", "outstanding", "said"),
    [
        ("5.00", "0", "$5.00 now, $4.20 after it"),
        ("5.00", "4.20", "$5.00 now, of which jobs that run may take $4.20, $0.00 after it"),
        ("5.00", "4.50", "$5.00, of which jobs that run may take $4.50: enough for 6 of 10; then the job pauses"),
        ("5.00", "9.00", "$5.00, of which jobs that run may take $9.00: enough for 0 of 10; then the job pauses"),
        ("0.50", "0", "$0.50: enough for 6 of 10; then the job pauses"),
        ("5.00", None, "$5.00; what jobs that run will take of it is not known"),
        (None, "0", "not told by the provider: it says nothing"),
    ],
)
def test_the_balance_is_told_with_what_is_not_left_of_it_here_and_at_a_server(balance, outstanding, said):
    proposal = propose(balance, outstanding)
    assert f"  balance   {said}" in list(tell_proposal(proposal))
    told = json.loads(dump_json(describe_proposal(proposal)), parse_float=Decimal)
    assert f"  balance   {said}" in list(tell_proposal(read_proposal(told)))
