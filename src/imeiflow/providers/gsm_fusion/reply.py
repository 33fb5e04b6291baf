"""What a reply to `placeorder` says, in the provider-neutral form. Lenient about layout, never about meaning.

Layouts that are known, in any nesting and under a root of any name: `<imeis>` repeated, each with `id imei status`;
one `<imeis>` with an `<imei>` (or any element) an order; one `<imeis>` with the fields of all orders flat;
`<imeiduplicates>`, `<imeierrors>`, `<error>`. Fields in attributes are not known, and so name nobody.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from imeiflow.domain.outcome import ErrorKind
from imeiflow.domain.reply import NamedError, NamedOrder, ReplyContent, WholeError
from imeiflow.providers.gsm_fusion.document import local_name, read_text
from imeiflow.providers.gsm_fusion.error_text import read_error
from imeiflow.providers.gsm_fusion.record import (
    Record,
    collect_records,
    normalise_imei,
    read_leaf_texts,
    read_reference,
    read_status,
    split_imeis,
)

if TYPE_CHECKING:
    from lxml.etree import _Element

_DUPLICATES = "imeiduplicates"
_ERRORS = "imeierrors"
_NOT_ORDERS = frozenset({_DUPLICATES, _ERRORS, "error"})


def read_placement(root: _Element) -> ReplyContent:
    """Read what a document names: orders, duplicates, errors tied to an IMEI, an error of the whole call."""
    orders: list[NamedOrder] = []
    duplicates: list[str] = []
    errors: list[NamedError] = []
    tied: set[str] = set()
    records, others = collect_records(root, stop=_NOT_ORDERS)
    for record in records:
        order = _read_order(record)
        if order is not None:
            orders.append(order)
        if record.fields.get("error") and record.fields.get("imei") and record.is_paired:
            tied.add(record.fields["error"])
            _sort_error(normalise_imei(record.fields["imei"]), record.fields["error"], duplicates, errors)
    texts: list[str] = []
    for element in others:
        match local_name(element):
            case "imeiduplicates":
                for text in read_leaf_texts(element, "imei"):
                    duplicates.extend(split_imeis(text))
            case "imeierrors":
                texts.extend(_read_imei_errors(element, duplicates, errors))
            case _:
                text = read_text(element)
                if text and text not in tied:
                    texts.append(text)
    return ReplyContent(tuple(orders), tuple(duplicates), tuple(errors), _merge_errors(texts))


def _read_order(record: Record) -> NamedOrder | None:
    fields = record.fields
    is_in_imeis = "imeis" in record.path
    if not ("imei" in fields or ("id" in fields and is_in_imeis)):
        return None
    if "error" in fields and "id" not in fields:
        return None
    imei = normalise_imei(fields.get("imei", ""))
    reference = read_reference(fields.get("id", ""))
    if not imei and not reference:
        return None
    return NamedOrder(imei, reference, read_status(fields.get("status", ""), fields.get("statusid", "")))


def _read_imei_errors(element: _Element, duplicates: list[str], errors: list[NamedError]) -> list[str]:
    """Read `<imei>` and `<error>`, flat or nested, into the lists; give the texts that name no IMEI."""
    said: list[tuple[str, str]] = []
    loose: list[str] = []
    for child in element:
        name = local_name(child)
        if name == "imei" and not len(child):
            said.extend(("imei", imei) for imei in split_imeis(child.text or ""))
        elif name == "error" and not any(local_name(inner) == "imei" for inner in child.iter()):
            said.append(("error", read_text(child)))
        elif len(child):
            loose.extend(_read_imei_errors(child, duplicates, errors))
    for imei, text in _pair(said):
        if imei:
            _sort_error(imei, text, duplicates, errors)
        elif text:
            loose.append(text)
    return loose


def _pair(said: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Pair IMEIs with the error that follows them, or, where an error stands first, with the one before them.

    An IMEI without an error gets an empty text, an error without an IMEI an empty IMEI.
    """
    is_error_first = bool(said) and said[0][0] == "error"
    pairs: list[tuple[str, str]] = []
    pending: list[str] = []
    for name, value in reversed(said) if is_error_first else said:
        if name == "imei":
            pending.append(value)
            continue
        pairs.extend((imei, value) for imei in pending or [""])
        pending = []
    pairs.extend((imei, "") for imei in pending)
    return pairs[::-1] if is_error_first else pairs


def _sort_error(imei: str, text: str, duplicates: list[str], errors: list[NamedError]) -> None:
    error = read_error(text)
    if error.duplicate:
        duplicates.append(imei)
    else:
        errors.append(NamedError(imei, error.kind, error.message or "named among the errors, without a text"))


def _merge_errors(texts: list[str]) -> WholeError | None:
    """Make one error of all: of their kind where they agree, else of none that would prove anything."""
    if not texts:
        return None
    errors = [read_error(text) for text in dict.fromkeys(texts)]
    if len(errors) == 1:
        return errors[0]
    kinds = {error.kind for error in errors}
    return WholeError(
        kinds.pop() if len(kinds) == 1 else ErrorKind.UNKNOWN,
        "; ".join(error.message for error in errors)[:200],
        duplicate=all(error.duplicate for error in errors),
        retry_after_s=max((error.retry_after_s for error in errors if error.retry_after_s is not None), default=None),
        is_of_credit=any(error.is_of_credit for error in errors),
    )
