"""Which orders of a job are meant, as addresses and forms say it; and the job, drawn after something was done."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final
from urllib.parse import urlencode

from litestar import Response

from imeiflow.domain.ident import JobId, OrderId
from imeiflow.domain.order import JobState, OrderState, ResultStatus
from imeiflow.errors import UsageError
from imeiflow.ledger.filter import Filter
from imeiflow.operations.catalogue import PriceList
from imeiflow.operations.job_control import Adopt, Shown, list_choices
from imeiflow.operations.job_view import JobLine, count_job
from imeiflow.operations.order_list import read_wanted
from imeiflow.operations.price import find_rise
from imeiflow.operations.prospect import explain_no_repeat
from imeiflow.web.office import Office, WebRequest, office_of
from imeiflow.web.page_template import draw
from imeiflow.web.thread import in_thread
from imeiflow.web.wording import say_capital, say_percent

_TEMPLATE: Final = "page/job/page.html"
_NUMBER: Final = re.compile(r"[0-9]{1,9}")
_PRICE: Final = re.compile(r"[0-9]{1,15}(\.[0-9]{1,12})?")


def read_states(words: Sequence[str]) -> list[str]:
    """Read the states in an address or a form. Raises UsageError for a word that is none."""
    states = [word for word in words if word]
    unknown = [state for state in states if state not in set(OrderState) | set(ResultStatus)]
    if unknown:
        raise UsageError(problem=f"{unknown[0][:40]!r} is no state of an order", remedy="Choose one from the list.")
    return states


def read_orders(words: Sequence[str]) -> frozenset[OrderId] | None:
    """Read the ids of single orders in an address; None where it names none."""
    return frozenset(OrderId(int(one)) for one in words if one.isdecimal() and len(one) < 16) if words else None


def make_filter(job_id: int, states: Sequence[str], imei: str) -> Filter:
    """Make the filter of a job's orders."""
    return Filter(
        jobs=[JobId(job_id)],
        states={OrderState(state) for state in states if state in set(OrderState)} or None,
        statuses={ResultStatus(state) for state in states if state in set(ResultStatus)} or None,
        imeis=list(read_wanted([imei]).imeis) if imei.strip() else None,
    )


def write_query(states: Sequence[str], imei: str) -> str:
    """Write a filter as it stands in an address."""
    pairs = [("state", state) for state in states] + ([("imei", imei)] if imei.strip() else [])
    return urlencode(pairs)


def read_shown(form: Mapping[str, Any], *counts: str) -> Shown:
    """Read what a form that asks to send again had shown: the fields `counts` added up, price and what waits besides.

    What is missing, or no number, is as if nothing had been shown.
    """
    price = str(form.get("price") or "")
    return Shown(
        count=sum(_read_number(form.get(name)) for name in counts),
        price=Decimal(price) if _PRICE.fullmatch(price) else None,
        waiting=_read_number(form.get("waiting")),
    )


def read_accepted(form: Mapping[str, Any]) -> Decimal | None:
    """Read the risen price that a form had shown, and that is agreed to by sending it; None where it showed none."""
    price = str(form.get("accept_price") or "")
    return Decimal(price) if _PRICE.fullmatch(price) else None


def ask_anew(question: Response[str]) -> Response[str]:
    """Have a question drawn in the place for questions, though the form that is answered would be drawn elsewhere."""
    question.headers["hx-retarget"], question.headers["hx-reswap"] = "#question", "innerHTML"
    return question


async def renew_prices(request: WebRequest, job_id: int) -> PriceList | None:
    """Have the price list fetched that a question about a job is answered by, if it is too old; nobody waits for long.

    None where the ledger's is new enough. Raises UnknownJobError, ConfigurationError.
    """
    return await office_of(request).enquiries.renew(JobId(job_id), is_brief=True)


def draw_after(request: WebRequest, job_id: int) -> Response[str]:
    """Draw what lives of a job once something was done with its orders; their list is fetched again where it stands."""
    answer = draw_job(request, job_id, "live")
    answer.headers["hx-trigger"] = f"slowly:job-{job_id}"
    return answer


def _read_number(text: object) -> int:
    return int(str(text)) if _NUMBER.fullmatch(str(text)) else 0


async def adopting(office: Office, act: Callable[[Adopt], Any]) -> Any:
    """Do something in a thread that may let a job run; the runner answers for the job before the page is told."""
    taken: list[tuple[JobId, Any]] = []
    try:
        return await in_thread(act, lambda job, lock: taken.append((job, lock)))
    finally:
        for job, lock in taken:
            office.runner.adopt(job, lock)


def draw_job(request: WebRequest, job_id: int, block: str | None, **where: Any) -> Response[str]:
    """Draw a job's page, or only what lives of it."""
    office = office_of(request)
    job = office.session.find_job(JobId(job_id))
    line = count_job(office.session, job, office.runner.view(job.id))
    values = {"states": [], "imei": "", "after": None, "query": "", **where}
    values |= {"owner": office.runner.busy_owner(job.account), "choices": list_choices(line)}
    values["limit_of"] = None if job.max_spend is None else office.session.ledger.find_cap_limit(job.id)
    values["no_repeat"] = explain_no_repeat(office.session, job) if line.unconfirmed and not line.view else ""
    is_at_rest = job.state in {JobState.PAUSED, JobState.FINISHED} and line.tally.waiting
    values["rise"] = find_rise(office.session, job.id, tally=line.tally) if is_at_rest else None
    return draw(request, _TEMPLATE, block, job=job, line=line, standing=_say_standing(line), **values)


def _say_standing(line: JobLine) -> str:
    """Say in a word how far a job is, or how it ended, for the title of its window."""
    if line.stopping is not None:
        return "Cancelling" if line.stopping is JobState.CANCELLED else "Pausing"
    return say_percent(line.share) if line.job.state is JobState.RUNNING else say_capital(line.job.state.value)
