"""What others have named fits into every page: names of one long word, of other scripts, and sums of many digits."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from imeiflow.domain.ident import ServiceId
from imeiflow.domain.money import Money
from imeiflow.domain.order import JobState
from imeiflow.domain.user import Role, Scope
from imeiflow.ledger.record import NewOrder, PricedService
from imeiflow.operations.identity import create_api_token
from imeiflow.operations.session import Session
from tests.operations.stand import ACCOUNT, add_job, answer, make_imei
from tests.web import seed
from tests.web.conftest import NARROW, WIDE
from tests.web.look import find_flaws

NAMES = (
    "W" * 80,
    "خدمة فتح شبكة آيفون جميع الدول بدون استثناء وبسرعة كبيرة",
    "苹果手机全球网络解锁",
)
SUM = Decimal("98765432.10")
PAGES = ("/", "/jobs", "/jobs/1", "/jobs/1/unconfirmed", "/unconfirmed", "/orders", "/orders/1", "/spending?by=service")
PAGES += ("/spending?by=job", "/services", f"/services/service?account={ACCOUNT}&service=1", "/accounts", "/activity")
PAGES += ("/settings", "/jobs/new")
LOOKS = ((NARROW, "light"), ({"width": 768, "height": 1024}, "dark"), (WIDE, "light"))


def add_long(session: Session) -> None:
    for name in NAMES:
        rows = [NewOrder(line=line, imei=make_imei(line)) for line in seed.STATES]
        job = add_job(session, rows, name=name, service_name=name, submitted_by="mia", unit_price=SUM)
        answer(session, job, seed.STATES)
        session.ledger.change_job(job, {JobState.RUNNING}, JobState.PAUSED, f"the provider says: {NAMES[0]}")
    named = [(str(number), name) for number, name in enumerate(NAMES, 1)] + [("X" * 60, "long id")]
    for more in (0, 1):
        services = [
            PricedService(
                id=ServiceId(id_), name=name, category=name, price=Money(SUM + more), delivery=name, note=name
            )
            for id_, name in named
        ]
        session.ledger.record_prices(ACCOUNT, services)
    session.ledger.learn(ACCOUNT, ServiceId("X" * 60), "chunk_size", {"size": 50}, f"it said {NAMES[0]}")


def test_long_names_and_large_sums_fit_into_every_page(tmp_path, request):
    seed.seed(tmp_path / "home", add_long)
    visitor, admin, site = (request.getfixturevalue(name) for name in ("visitor", "admin", "site"))
    user = site.add_user("w" * 60, Role.OPERATOR)
    site.session.ledger.change_user(user.id, actor="mia", spend_limit=SUM)
    how = {"scopes": [Scope.READ], "expires_at": None, "actor": "mia", "maker": "w" * 60}
    create_api_token(site.session, user, name="W" * 64, **how)
    accounts = site.session.configuration.accounts
    for name in NAMES:
        accounts[name] = replace(accounts[ACCOUNT], name=name)
    page = visitor.open("/", user=admin)
    flaws = []
    for path in PAGES:
        page.goto(path)
        flaws += [f"{path} {flaw}" for flaw in find_flaws(page, LOOKS)]
    assert flaws == []
