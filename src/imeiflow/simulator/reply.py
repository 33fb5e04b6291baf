"""Writes the XML of replies, in all the layouts that live servers were seen or said to use.

Pure. A layout that no strict parser accepts is meant: see `Behaviour`, group reply.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from random import Random
from typing import NamedTuple

from imeiflow.domain.order import ResultStatus
from imeiflow.simulator.behaviour import Behaviour, Declaration, ReplyLayout, ResultLayout, StatusStyle
from imeiflow.simulator.book import Entry
from imeiflow.simulator.catalogue import Offer
from imeiflow.simulator.result import make_result

_WORDS = {
    ResultStatus.PENDING: ("1", "Pending"),
    ResultStatus.COMPLETED: ("2", "Completed"),
    ResultStatus.REJECTED: ("3", "Rejected"),
    ResultStatus.IN_PROCESS: ("4", "In Process"),
}
_HEADS = {
    Declaration.GOOD: '<?xml version="1.0" encoding="utf-8"?>\n',
    Declaration.PHPXML: '<?phpxml version="1.0" encoding="utf-8"?>\n',
    Declaration.NONE: "",
}
_FOREIGN = 99_000_001  # orders of somebody else: far above all references of its own
_FOREIGN_IMEI = 352_099_990_000_000
_WARNING = (
    "<br />\n<b>Warning</b>:  Undefined array key &quot;otherId&quot; in <b>/var/www/html/gsmfusion_api/index.php</b>"
    " on line <b>214</b><br />\n"
)


class Placing(NamedTuple):
    """What a placing call came to, before it is written down."""

    entries: Sequence[Entry] = ()
    duplicates: Sequence[str] = ()
    errors: Sequence[tuple[str, str]] = ()


class Writer:
    """Writes replies as one behaviour wants them."""

    def __init__(self, behaviour: Behaviour, random: Random) -> None:
        self._behaviour = behaviour
        self._random = random
        self._head = (_WARNING if behaviour.php_warning else "") + _HEADS[behaviour.declaration]
        self._flavour = self._make_flavour()

    def write_placing(self, placing: Placing, now: float) -> bytes:
        """Write the reply to `placeorder`."""
        rows = [
            f"<id>{entry.reference}</id><imei>{_escape(entry.imei)}</imei>{self._status(entry.status_at(now))}{self._flavour}"
            for entry in placing.entries
        ]
        rows += [
            f"<id>{_FOREIGN + number}</id><imei>{_FOREIGN_IMEI + number}</imei>{self._status(ResultStatus.PENDING)}"
            for number in range(self._behaviour.placed_extra)
        ]
        rest = ""
        if placing.duplicates:
            rest = f"<imeiduplicates><imei>{_escape(','.join(placing.duplicates))}</imei></imeiduplicates>\n"
        for imei, error in placing.errors:
            rest += f"<imeierrors><imei>{_escape(imei)}</imei><error>{_escape(error)}</error></imeierrors>\n"
        return self._wrap(self._lay_out(rows) + rest)

    def write_statuses(self, entries: Iterable[Entry], titles: dict[str, Offer], now: float) -> bytes:
        """Write the reply to `getimeis`."""
        return self._wrap(self._lay_out([self._write_status(entry, titles, now) for entry in entries]))

    def write_record(self, name: str, entry: Entry, title: str, now: float) -> bytes:
        """Write the reply about one file or server order."""
        status, code = entry.status_at(now), ""
        number, word = _WORDS[status]
        if status.is_final:
            is_rejected, layout = status is ResultStatus.REJECTED, ResultLayout.CODE
            told = make_result(entry.imei, entry.service, self._behaviour.seed, layout, is_rejected=is_rejected)
            code = self._write_code(told)
        fields = f"<id>{entry.reference}</id><package>{_escape(title)}</package><statusId>{number}</statusId>"
        fields += f"<status>{word}</status><code>{code}</code><requestedat>{_write_time(entry.placed_at)}</requestedat>"
        return self._wrap(f"<{name}>{fields}</{name}>\n")

    def write_offers(self, offers: Iterable[Offer]) -> bytes:
        """Write a price list."""
        amp = "&" if self._behaviour.bare_ampersand else "&amp;"
        rows = "".join(
            f"<Package><PackageId>{offer.id}</PackageId><Category>{_escape(offer.category)}</Category>"
            f"<PackageTitle>{_escape(offer.title, amp)}</PackageTitle><PackagePrice>{offer.price:.2f}</PackagePrice>"
            f"<TimeTaken>{offer.delivery}</TimeTaken><MustRead>{_escape(offer.note)}</MustRead></Package>\n"
            for offer in offers
        )
        return self.write(f"<Packages>\n{rows}</Packages>")

    def write_error(self, text: str) -> bytes:
        """Write an error of the whole call."""
        error = f"<error>{_escape(text)}</error>"
        return self.write(f"<result>{error}</result>" if self._behaviour.error_in_result else error)

    def write(self, markup: str) -> bytes:
        """Put the head before the markup, and encode it."""
        text = self._head + markup
        return text.encode("latin-1", "xmlcharrefreplace") if self._behaviour.latin_1 else text.encode()

    def _wrap(self, markup: str) -> bytes:
        return self.write(markup if self._behaviour.without_result else f"<result>\n{markup}</result>")

    def _lay_out(self, rows: list[str]) -> str:
        if self._behaviour.shuffled:
            self._random.shuffle(rows)
        if not rows:
            return ""
        if self._behaviour.reply_layout is ReplyLayout.NESTED:
            return "<imeis>\n<imei>" + "</imei>\n<imei>".join(rows) + "</imei>\n</imeis>\n"
        return "<imeis>" + "</imeis>\n<imeis>".join(rows) + "</imeis>\n"

    def _status(self, status: ResultStatus) -> str:
        number, word = _WORDS[status]
        return f"<status>{word if self._behaviour.status_style is StatusStyle.WORDS else number}</status>"

    def _write_status(self, entry: Entry, titles: dict[str, Offer], now: float) -> str:
        behaviour = self._behaviour
        status = entry.status_at(now)
        code = ""
        if status.is_final:
            is_rejected = status is ResultStatus.REJECTED
            layout = behaviour.result_layout
            code = make_result(entry.imei, entry.service, behaviour.seed, layout, is_rejected=is_rejected)
        offer = titles.get(entry.service)
        amp = "&" if behaviour.bare_ampersand else "&amp;"
        package = _escape(offer.title if offer else f"Service {entry.service}", amp)
        return (
            f"<id>{entry.reference}</id><package>{package}</package><imei>{_escape(entry.imei)}</imei>"
            f"<statusId>{_WORDS[status][0]}</statusId>{self._status(status)}<code>{self._write_code(code)}</code>"
            f"<requestedat>{_write_time(entry.placed_at)}</requestedat>{self._flavour}"
        )

    def _write_code(self, code: str) -> str:
        if code and self._behaviour.cdata:
            return f"<![CDATA[{code}]]>"
        return _escape(code)

    def _make_flavour(self) -> str:
        """Make the element that carries what a parser may stumble over, where it is asked for."""
        behaviour = self._behaviour
        if not (behaviour.bare_ampersand or behaviour.latin_1):
            return ""
        text = "Vérification " if behaviour.latin_1 else "Check "
        return f"<note>{text}{'&' if behaviour.bare_ampersand else '&amp;'} Info</note>"


def _escape(text: str, ampersand: str = "&amp;") -> str:
    if text.isalnum():
        return text
    return html.escape(text, quote=False).replace("&amp;", ampersand)


def _write_time(at: float) -> str:
    moment = datetime.fromtimestamp(at, UTC)
    return f"{moment:%Y-%m-%d} {moment.hour}:{moment:%M:%S}"
