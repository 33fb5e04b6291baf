"""Where the money went: by day, service, job or account, in a range of days; what is given back and in doubt apart."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from litestar import Response, get
from litestar.params import FromQuery
from markupsafe import Markup

from imeiflow.domain.ident import AccountName
from imeiflow.operations.spending import Axis, Sum, add_up_spending, total_by_currency
from imeiflow.operations.spending_figure import draw_spending
from imeiflow.plot.svg import write_svg
from imeiflow.web.day import read_day
from imeiflow.web.navigation import Entry, Page
from imeiflow.web.office import WebRequest, office_of
from imeiflow.web.page_template import draw
from imeiflow.web.thread import threaded

_TEMPLATE: Final = "page/spending/page.html"
_USUAL_DAYS: Final = 30
_MOST_ROWS: Final = 500


@get("/spending")
@threaded
def spending_page(
    request: WebRequest,
    by: FromQuery[str] = "day",
    first: FromQuery[str] = "",
    last: FromQuery[str] = "",
    account: FromQuery[str] = "",
) -> Response[str]:
    """Show what was spent; without a range, in the last days."""
    session = office_of(request).session
    axis = Axis(by) if by in set(Axis) else Axis.DAY
    today = session.clock.now().astimezone().date()
    since, until = read_day(first) or today - timedelta(days=_USUAL_DAYS - 1), read_day(last) or today
    sums = add_up_spending(session, axis, account=AccountName(account) if account else None, first=since, last=until)
    return draw(
        request,
        _TEMPLATE,
        by=axis,
        axes=list(Axis),
        first=since,
        last=until,
        today=today,
        timedelta=timedelta,
        account=account,
        accounts=sorted(session.configuration.accounts),
        sums=sums[-_MOST_ROWS:] if axis is Axis.DAY else sums[:_MOST_ROWS],
        left_out=max(0, len(sums) - _MOST_ROWS),
        totals=total_by_currency(sums),
        plot=_draw_plot(sums, axis),
    )


def _draw_plot(sums: list[Sum], axis: Axis) -> Markup | None:
    if not any(one.spent or one.in_doubt for one in sums):
        return None
    return Markup(write_svg(draw_spending(sums, axis), is_styled=False))  # noqa: S704 - it escapes its texts itself


PAGE = Page(handlers=[spending_page], entry=Entry(label="Spending", path="/spending", icon="money", rank=60))
