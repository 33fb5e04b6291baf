"""How numbers, times, money and states are said on pages. Pure; the filters of the templates."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from markupsafe import Markup, escape

from imeiflow.domain.imei import Flaw
from imeiflow.domain.item import OrderKind
from imeiflow.domain.money import Money
from imeiflow.domain.order import JobState, OrderState, ResultStatus
from imeiflow.domain.progress import whole_percent
from imeiflow.operations.timeline import say_result

#: What the command line would have done, in a reason and in a remedy.
_COMMAND: Final = re.compile(r"; `resume [^`]*` [a-z ]+")
_BESIDE: Final = re.compile(r":? ?\(?`imeiflow [^`]*`\)?(?=[.,]|$)")
_NAME: Final = re.compile(r"\S*(\w[._/@-]\w|\d|:)")
_LONGEST_RESULT: Final = 600
_LONG_SUM: Final = 14
_STATES: Final = {OrderState.SENDING.value: "under way", ResultStatus.IN_PROCESS.value: "in process"}
_ALIKE: Final = {
    JobState.RUNNING.value: "sending",
    JobState.FINISHED.value: "accepted",
    JobState.PAUSED.value: "unconfirmed",
    ResultStatus.PENDING.value: "queued",
    ResultStatus.IN_PROCESS.value: "sending",
    ResultStatus.COMPLETED.value: "accepted",
    ResultStatus.REJECTED.value: "refused",
}


def say_number(value: int | float | Decimal | None) -> str:
    """Say a number with its thousands; a fraction with one or two places."""
    if value is None:
        return "–"
    if isinstance(value, int):
        return f"{value:,}"
    amount = Decimal(value)
    return f"{amount:,.1f}" if abs(amount) < 100 else f"{amount:,.0f}"


def say_count(number: int, one: str, many: str | None = None) -> str:
    """Say a number of things."""
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"


def say_money(value: Money | None) -> str:
    """Say an amount; a dash where it is not known."""
    return "not known" if value is None else str(value)


def say_sum(value: Money | None) -> Markup:
    """Say an amount that stands as a figure of its own: a long one is given more room."""
    said = say_money(value)
    return Markup('<span class="sum-long">{}</span>').format(said) if len(said) > _LONG_SUM else escape(said)


def group_digits(figure: str) -> str:
    """Say a figure with its thousands apart, to be read and typed."""
    return f"{Decimal(figure):,}"


def say_bytes(count: int) -> str:
    """Say the size of a file."""
    if count < 1000:
        return say_count(count, "byte")
    return f"{count / 1000:,.0f} kB" if count < 1_000_000 else f"{count / 1_000_000:,.1f} MB"


def say_seconds(seconds: float | None) -> str:
    """Say a length of time in its two largest units."""
    if seconds is None:
        return "not known yet"
    total = round(seconds)
    if total < 60:
        return f"{total} s"
    minutes, seconds_ = divmod(total, 60)
    if minutes < 60:
        return f"{minutes} min {seconds_} s" if minutes < 10 and seconds_ else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    return f"{hours // 24} days"


def say_time(at: datetime | None, *, is_exact: bool = False) -> Markup:
    """Say a time, to the second where it is to be exact; the browser turns it into the viewer's own."""
    if at is None:
        return Markup("–")
    utc = at.astimezone(UTC)
    text = f"{utc:%Y-%m-%d %H:%M:%S}" if is_exact else f"{utc:%Y-%m-%d %H:%M}"
    return Markup('<time datetime="{}"{}>{} UTC</time>').format(
        utc.isoformat(timespec="milliseconds"), Markup(" data-exact") if is_exact else "", text
    )


def say_state(state: Any) -> str:
    """Say a state of an order, a job or a result in plain words."""
    return _STATES.get(str(state), str(state).replace("_", " "))


def tone_of(state: Any) -> str:
    """Give the name of a state's colour: an order's own state, or the one that means the same."""
    return _ALIKE.get(str(state), str(state))


def say_flaw(text: str) -> str:
    """Say what is wrong with a row: the name of a flaw becomes its sentence, all else stays as it was told."""
    return Flaw(text).sentence if text in set(Flaw) else text


def say_kind(kind: OrderKind) -> str:
    """Say a kind of services at the beginning of a sentence."""
    return "IMEI" if kind is OrderKind.IMEI else kind.value.capitalize()


def say_result_line(text: str) -> str:
    """Say what the provider found out in one line, without markup, cut where it is long."""
    return say_result(text[:_LONGEST_RESULT])


def say_reason(text: str) -> str:
    """Say why a job stands as it stands, without the command that changes it: a page has a button for that."""
    return _COMMAND.sub("", text)


def say_remedy(text: str) -> str:
    """Say what to do, without commands that nobody types into a page; a sentence about nothing else is left out."""
    told = _BESIDE.sub("", text)
    return " ".join(one for one in re.split(r"(?<=[.!?]) ", told) if "`imeiflow " not in one)


def say_capital(text: str) -> str:
    """Say something at the beginning of a sentence."""
    return text[:1].upper() + text[1:]


def say_sentence(text: str) -> str:
    """Say something as a sentence of its own; a name at its beginning stays as it is written."""
    begun = text if _NAME.match(text) else say_capital(text)
    return begun + ("" if not text or text[-1] in ".!?…" else ".")


def show_code(text: str) -> Markup:
    """Show what stands between backticks as what would be typed."""
    parts = text.split("`")
    if len(parts) % 2 == 0:
        return escape(text)
    typed = Markup("<code>{}</code>")
    return Markup("").join(typed.format(part) if place % 2 else part for place, part in enumerate(parts))


def say_worked(seconds: float) -> str:
    """Say how long a job was worked on; it is counted by the second."""
    return say_seconds(seconds) if seconds >= 1 else "under 1 s"


def say_percent(share: float) -> str:
    """Say a share; never 100% before all is done, never 0% once something is."""
    if 0 < share < 0.01:
        return "under 1%"
    return f"{whole_percent(share)}%"
