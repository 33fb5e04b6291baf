"""How a whole HTTP reply is judged when it holds nothing that can be read: refused unread, or in doubt. Pure.

Refused unread is said only where what answered stands in front of the shop, or has not run it:

    429                         rate
    503                         rate with Retry-After or rate words, else overload; in doubt where the page says that
                                a server behind it was reached and failed
    403, 406, 409, 415          a firewall: rate with Cloudflare's 1015 or words of a ban, else account
    401, 404, 405, 410, 411, 421, 426, 431, 451    nothing is there that takes orders: account (wrong base URL?)
    413                         chunk: too much at once
    3xx                         account: the base URL redirects; 302 and 303 are in doubt, for a shop that has done
                                the work may answer so
    200, bare JSON or text      rate where it says so, and nothing of an order; account where a firewall names itself

The shop's own document with an error that nobody knows is in doubt whatever the status, 429 aside; and so is bare JSON
or text that also speaks of an order that went through.

Everything else is in doubt: 500, 502, 504, 52x and any other 5xx (overload; account where the shop's own document names
such an error, and then nothing more is sent), 400 and 408, a reply that is empty, cut,
HTML. An account error that concerns the way to the server stands for every call that would follow.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from http import HTTPStatus

from imeiflow.domain.outcome import Ending, ErrorKind
from imeiflow.domain.reply import WholeError
from imeiflow.providers.contract import Exchange
from imeiflow.providers.gsm_fusion.document import Shape, Unreadable, decode
from imeiflow.providers.gsm_fusion.error_text import read_error, says_only_rate, says_rate, speaks_of_orders

_FIREWALL = frozenset({403, 406, 409, 415})
_NOBODY_THERE = frozenset({401, 404, 405, 410, 411, 421, 426, 431, 451})
_BANNED = re.compile(r"error(?: code)?:?\s*1015|\b1015\b|rate.?limited|\bbanned\b|temporarily blocked", re.IGNORECASE)
_BANNED_FOR_GOOD = re.compile(r"\b100[678]\b")
_BACKEND = re.compile(
    r"backend (?:fetch|read)|first byte|upstream|bad gateway|timed? ?out|proxy error|reset by peer|premature",
    re.IGNORECASE,
)
_FIREWALL_NAMES = re.compile(
    r"imunify|bot.?protection|mod_?security|sucuri|wordfence|cloudflare|web application firewall", re.IGNORECASE
)
_SEARCHED_BYTES = 65536


@dataclass(frozen=True, slots=True)
class Verdict:
    """How the exchange really ended, and the error to report."""

    ending: Ending
    error: WholeError


def judge(exchange: Exchange, unreadable: Unreadable, retry_after_s: float | None) -> Verdict:
    """Judge a whole HTTP reply (`exchange.http_status` is set) without a document that could be read."""
    status = exchange.http_status or 0
    page = decode(exchange.reply[:_SEARCHED_BYTES])
    if _may_have_run(status, unreadable):
        verdict = _judge_failure(status, unreadable, retry_after_s)
    elif status == 429:
        verdict = _refuse(ErrorKind.RATE, "too many calls", status, unreadable, retry_after_s)
    elif status == 503:
        verdict = _judge_503(page, unreadable, retry_after_s)
    elif status in _FIREWALL:
        verdict = _judge_firewall(status, page, unreadable, retry_after_s)
    elif status in _NOBODY_THERE:
        verdict = _refuse(ErrorKind.ACCOUNT, "nothing takes orders there; is the base URL right?", status, unreadable)
    elif status == 413:
        verdict = _refuse(ErrorKind.CHUNK, "too much in one call", status, unreadable)
    elif 300 <= status < 400:
        verdict = _judge_redirect(exchange, status)
    elif 200 <= status < 300:
        verdict = _judge_success(status, unreadable, retry_after_s)
    else:
        verdict = _judge_failure(status, unreadable, retry_after_s)
    return verdict


def _may_have_run(status: int, unreadable: Unreadable) -> bool:
    """Say whether it is the shop that answers, so that it may have placed orders before."""
    is_own = unreadable.shape in {Shape.SHOP, Shape.JSON, Shape.TEXT}
    if is_own and (unreadable.names_order or speaks_of_orders(unreadable.whole)):
        return True
    return unreadable.shape is Shape.SHOP and status != 429


def _judge_failure(status: int, unreadable: Unreadable, retry_after_s: float | None) -> Verdict:
    is_server = status >= 500
    words = "the server failed" if is_server else "the server did not take the call"
    if 200 <= status < 300:
        words = unreadable.reason
    kind = ErrorKind.OVERLOAD if is_server else ErrorKind.UNKNOWN
    if is_server and unreadable.shape is Shape.SHOP and read_error(unreadable.whole).kind is ErrorKind.ACCOUNT:
        kind = ErrorKind.ACCOUNT  # every other call would end so too
    error = WholeError(kind, _compose(words, status, unreadable), retry_after_s=retry_after_s)
    return Verdict(Ending.IN_DOUBT, error)


def _judge_503(page: str, unreadable: Unreadable, retry_after_s: float | None) -> Verdict:
    if _BACKEND.search(page):
        message = _compose("the shop behind the server failed", 503, unreadable)
        return Verdict(Ending.IN_DOUBT, WholeError(ErrorKind.OVERLOAD, message, retry_after_s=retry_after_s))
    if retry_after_s is not None or says_rate(page):
        return _refuse(ErrorKind.RATE, "too many calls", 503, unreadable, retry_after_s)
    return _refuse(ErrorKind.OVERLOAD, "the server is busy", 503, unreadable)


def _judge_firewall(status: int, page: str, unreadable: Unreadable, retry_after_s: float | None) -> Verdict:
    is_ban = _BANNED.search(page) is not None and not _BANNED_FOR_GOOD.search(page)
    if is_ban or says_rate(page):
        return _refuse(
            ErrorKind.RATE, "a firewall blocks for some time: too many calls", status, unreadable, retry_after_s
        )
    words = "a firewall refuses the call, and would refuse every other; ask the provider to allow your IP address"
    return _refuse(ErrorKind.ACCOUNT, words, status, unreadable, retry_after_s)


def _judge_redirect(exchange: Exchange, status: int) -> Verdict:
    location = exchange.headers.get("Location", "")[:120] or "nowhere"
    message = f"the server redirects to {location} (HTTP {status}), which is not followed; correct the base URL"
    ending = Ending.IN_DOUBT if status in {302, 303} else Ending.REFUSED_UNREAD
    return Verdict(ending, WholeError(ErrorKind.ACCOUNT, message))


def _judge_success(status: int, unreadable: Unreadable, retry_after_s: float | None) -> Verdict:
    if unreadable.shape in {Shape.JSON, Shape.TEXT}:
        if says_only_rate(unreadable.whole):
            return _refuse(ErrorKind.RATE, "too many calls", status, unreadable, retry_after_s)
        if unreadable.shape is Shape.JSON and _FIREWALL_NAMES.search(unreadable.text):
            words = "a firewall refuses the call, and would refuse every other"
            return _refuse(ErrorKind.ACCOUNT, words, status, unreadable)
    message = _compose(unreadable.reason, status, unreadable)
    return Verdict(Ending.IN_DOUBT, WholeError(ErrorKind.UNKNOWN, message, retry_after_s=retry_after_s))


def _refuse(
    kind: ErrorKind, words: str, status: int, unreadable: Unreadable, retry_after_s: float | None = None
) -> Verdict:
    error = WholeError(kind, _compose(words, status, unreadable), retry_after_s=retry_after_s)
    return Verdict(Ending.REFUSED_UNREAD, error)


def _compose(words: str, status: int, unreadable: Unreadable) -> str:
    try:
        phrase = f"HTTP {status} {HTTPStatus(status).phrase}"
    except ValueError:
        phrase = f"HTTP {status}"
    message = f"{words} ({phrase})"
    if unreadable.text:
        message += f": {unreadable.text}"
    return message if len(message) <= 200 else message[:199].rstrip() + "…"
