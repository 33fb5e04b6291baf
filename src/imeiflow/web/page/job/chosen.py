"""What a person may do with orders of a job that they have chosen: said in words and money first, then done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

from litestar import Response, post
from litestar.params import FromPath

from imeiflow.domain.ident import JobId, OrderId
from imeiflow.domain.order import OrderState
from imeiflow.domain.user import Role
from imeiflow.errors import UsageError
from imeiflow.operations.catalogue import PriceList
from imeiflow.operations.chosen import Chosen, cancel_chosen, choose_matching, list_possibilities
from imeiflow.operations.job_control import send_again
from imeiflow.operations.job_view import SHOWN, count_job
from imeiflow.operations.price import PriceRoseError, find_rise
from imeiflow.operations.settlement import find_last_attempt
from imeiflow.operations.steering import RETRIED
from imeiflow.web.access import needs
from imeiflow.web.office import WebRequest, office_of
from imeiflow.web.page.job.selection import (
    adopting,
    ask_anew,
    draw_after,
    make_filter,
    read_accepted,
    read_shown,
    read_states,
    renew_prices,
    write_query,
)
from imeiflow.web.page_template import draw
from imeiflow.web.thread import in_thread

_MOST_TICKED: Final = 200
_ACTED_ON: Final = RETRIED | {OrderState.QUEUED, OrderState.UNCONFIRMED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticks:
    """What a form says was chosen: ids, or (`is_all`) all that its filter finds."""

    ids: tuple[int, ...]
    is_all: bool
    states: Sequence[str]
    imei: str

    @classmethod
    async def read(cls, request: WebRequest) -> Ticks:
        """Read the form. Raises UsageError where nothing was chosen."""
        form = await request.form()
        ids = tuple(int(one) for one in form.getall("order", []) if str(one).isdecimal() and len(str(one)) < 16)
        is_all = form.get("scope") == "all"
        if not is_all and not ids:
            raise UsageError(problem="no order was chosen", remedy="Tick some, or choose all that match.")
        if not is_all and len(ids) > _MOST_TICKED:
            problem = f"{len(ids)} orders are ticked, and {_MOST_TICKED} can be at most"
            raise UsageError(problem=problem, remedy="Nothing was done. Choose all that match, or tick fewer.")
        states = read_states([str(one) for one in form.getall("state", [])])
        return cls(ids=() if is_all else ids, is_all=is_all, states=states, imei=str(form.get("imei") or ""))

    @property
    def query(self) -> str:
        """Write it as an export's address has it."""
        if self.is_all:
            return write_query(self.states, self.imei)
        return urlencode([("order", one) for one in self.ids])


@post("/jobs/{job_id:int}/chosen", guards=[needs(Role.OPERATOR)], status_code=200)
async def ask_about_chosen(request: WebRequest, job_id: FromPath[int]) -> Response[str]:
    """Say what can be done with the orders that were chosen, and what it would cost."""
    ticks = await Ticks.read(request)
    return await in_thread(_draw_question, request, job_id, ticks, await renew_prices(request, job_id))


@post("/jobs/{job_id:int}/chosen/retry", guards=[needs(Role.OPERATOR)], status_code=200)
async def retry_chosen(request: WebRequest, job_id: FromPath[int]) -> Response[str]:
    """Send again what was refused or has failed of the orders that were chosen, at a price that was agreed to."""
    office, ticks, name = office_of(request), await Ticks.read(request), request.user.user.name
    chosen = await in_thread(choose, request, job_id, ticks)
    states = {state for state in RETRIED if chosen.includes(state)}
    form = await request.form()
    how: dict[str, Any] = {"shown": read_shown(form, "seen"), "accept_price": read_accepted(form)}
    how["chosen"] = chosen.orders
    prices = await renew_prices(request, job_id)
    try:
        await adopting(office, lambda adopt: send_again(office.session, chosen.job, states, name, adopt, **how))
    except PriceRoseError:
        return ask_anew(await in_thread(_draw_question, request, job_id, ticks, prices))
    return await in_thread(draw_after, request, job_id)


@post("/jobs/{job_id:int}/chosen/cancel", guards=[needs(Role.OPERATOR)], status_code=200)
async def cancel_some(request: WebRequest, job_id: FromPath[int]) -> Response[str]:
    """Cancel what waits of the orders that were chosen."""
    office, ticks, name = office_of(request), await Ticks.read(request), request.user.user.name
    chosen = await in_thread(choose, request, job_id, ticks)
    await in_thread(cancel_chosen, office.session, chosen, name)
    return await in_thread(draw_after, request, job_id)


def choose(request: WebRequest, job_id: int, ticks: Ticks) -> Chosen:
    """Find the orders that a form says were chosen. Raises UnknownJobError, UsageError."""
    session = office_of(request).session
    job = session.find_job(JobId(job_id)).id
    if ticks.is_all:
        return choose_matching(session, job, make_filter(job_id, ticks.states, ticks.imei))
    return Chosen(job=job, orders=tuple(map(OrderId, ticks.ids)))


def _draw_question(request: WebRequest, job_id: int, ticks: Ticks, prices: PriceList | None) -> Response[str]:
    office = office_of(request)
    job = office.session.find_job(JobId(job_id))
    last = find_last_attempt(office.session, job.id)
    line = count_job(office.session, job, office.runner.view(job.id))
    found = list_possibilities(office.session, choose(request, job_id, ticks), line)
    parts = [(state, found.counts[state]) for state in SHOWN if found.counts.get(state)]
    rest = [(state, number) for state, number in parts if state not in _ACTED_ON]
    rise = find_rise(office.session, job.id, more=found.retry.count) if found.retry else None
    values: dict[str, Any] = {
        "waiting": line.tally.waiting,
        "prices": prices,
        "rise": rise,
        "price": job.price if rise is None else rise.price,
        "untouched": 0 if found.is_running else sum(number for _, number in rest),
        "untouched_states": ", ".join(str(state) for state, _ in rest),
        "ids": ticks.ids,
        "is_all": ticks.is_all,
        "states": ticks.states,
        "imei": ticks.imei,
        "export_query": ticks.query,
        "last": last,
    }
    return draw(request, "page/job/chosen.html", job=job, found=found, parts=parts, **values)


HANDLERS: Final = (ask_about_chosen, retry_chosen, cancel_some)
