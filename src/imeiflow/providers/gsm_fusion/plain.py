"""The plainest reply to `placeorder`, read without making a document: `<imeis>` with `id imei status`, one an order.

May say only what `read_placement` says of the same bytes; whatever is not exactly of this form is left to it. The form
admits nothing that could be cut, nested, escaped or written in another encoding: every character is accounted for,
from the declaration to the end tag of the root.
"""

from __future__ import annotations

import re

from imeiflow.domain.reply import NamedOrder, ReplyContent
from imeiflow.providers.gsm_fusion.record import read_status

#: Room for some 700 orders. Longer replies are left to the limits of `document`.
_LONGEST = 64 * 1024
_S = r"[ \t\r\n]*"
_ORDER = (
    rf"<imeis>{_S}<id>([1-9][0-9]{{0,31}})</id>{_S}<imei>([0-9]{{15}})</imei>{_S}"
    rf"<status>([A-Za-z]{{1,16}}(?: [A-Za-z]{{1,16}})?|[0-9])</status>{_S}</imeis>{_S}"
)
_REPLY = re.compile(
    rf'(?:<\?xml version="1\.0"(?: encoding="(?:utf|UTF)-8")?\?>)?{_S}<result>{_S}(?:{_ORDER})+</result>{_S}'
)
_ORDERS = re.compile(_ORDER)


def read_plain(body: bytes) -> ReplyContent | None:
    """Read `body` where it only names orders in the plainest layout; None for anything else."""
    if len(body) > _LONGEST:
        return None
    text = body.decode("latin-1")
    found = _REPLY.fullmatch(text)
    if found is None:
        return None
    orders = [found.groups()] if text.count("<imeis>") == 1 else _ORDERS.findall(text)
    return ReplyContent(tuple([NamedOrder(imei, reference, read_status(word)) for reference, imei, word in orders]))
