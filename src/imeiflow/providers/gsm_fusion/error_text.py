"""What an error text of this family of panels is about. Pure.

Matched leniently: case, punctuation, and numbers or brackets at the end do not count. The kinds that prove that
nothing was placed (account, rate) and that an order was refused are read only from texts that say so as a whole; a
text that also speaks of orders that went through, wherever in it, proves nothing. A text that nobody has seen is
`unknown`.
"""

from __future__ import annotations

import re

from imeiflow.domain.outcome import ErrorKind
from imeiflow.domain.reply import WholeError
from imeiflow.providers.gsm_fusion.document import read_words
from imeiflow.providers.retry_after import find_wait

_BRACKETS = re.compile(r"[\[({][^\[\](){}]*[\])}]?\s*$")
_NOT_WORD = re.compile(r"[^a-z0-9%]+")
_LAST_NUMBERS = re.compile(r"(?: (?:n|[0-9]+))+$")
_PARTIAL = re.compile(
    r"\b(?<!not )(?<!not be )(?<!cannot be )(?<!being )"
    r"(?:partial\w*|remaining|processed|placed|accepted|created|charged|queued|submitted|saved|added|ordered|completed"
    r"|(?<!requests )(?<!calls )(?:received|done|taken)|success(?:ful|fully)?(?! (?:false|0|no)\b))\b"
)


def _anywhere(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(patterns))


def _whole(*patterns: str) -> re.Pattern[str]:
    return re.compile(rf"^(?:error )?(?:{'|'.join(patterns)})$")


_IN_ACCOUNT = r"(?: in (?:your|the|our) (?:account|system|orders?))?"
_DUPLICATE = _whole(
    rf"(?:this |the )?imei (?:[0-9]+ )?(?:is |has )?already (?:exists?|existing|submitted|ordered){_IN_ACCOUNT}",
    rf"(?:this |the )?(?:imei )?(?:[0-9]+ )?(?:is )?already (?:available or pending|available|pending){_IN_ACCOUNT}",
    rf"duplicated? (?:imei|order){_IN_ACCOUNT}",
)
_CHUNK = _anywhere(
    r"too many imei",
    r"(?:maximum|max|maximum of|only|limit of|more than) [0-9]+ imei",
    r"[0-9]+ imeis? (?:are )?allowed",
    r"[0-9]+ imeis? per (?:request|call|order|submission)",
    r"only (?:one|1|a single|single) imei",
    r"maximum number of imei",
    r"imei (?:limit|count) exceeded",
    r"bulk (?:submission|order)s? (?:is |are )?not allowed",
    r"multiple imeis? (?:is |are )?not",
)
_RATE = _anywhere(
    r"rate limit",
    r"rate exceeded",
    r"too many (?:api )?(?:requests|calls|connections|attempts|hits)",
    r"too (?:frequently|frequent|fast|quickly)",
    r"slow down",
    r"throttl",
    r"(?:requests?|calls|api) limit (?:is |has been |was )?(?:exceeded|reached)",
    r"(?:exceeded|reached) (?:the |your )?(?:[a-z]+ )?(?:requests?|calls|api) (?:limit|quota)",
    r"temporarily (?:banned|blocked)",
    r"banned (?:you )?temporarily",
)
_WAIT = _anywhere(r"(?:try|retry) again (?:in|after) [0-9]+", r"wait (?:for )?[0-9]+ ?(?:s|m|h)")
#: A text of nothing but a time to wait. Beside anything else such a time may be that of an order which went through.
_ONLY_WAIT = _whole(
    r"(?:please |you (?:must|should|have to|need to) )?(?:wait(?: for)?|(?:try|retry)(?: again)? (?:in|after))"
    r" [0-9]+ ?(?:s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?)"
    r"(?: (?:and|then) (?:try|retry)(?: again)?| between (?:requests|calls|orders)"
    r"| before (?:trying|retrying|sending|placing|submitting|(?:your |the )?next|another)(?: [a-z]+)*)?"
)
_ACCOUNT = _whole(
    r"invalid (?:user|user ?name|user ?id|api ?key|access ?key|key|login|credentials?|api (?:user|access))",
    r"invalid ip(?: address)?(?: request)?",
    r"(?:wrong|incorrect) (?:api ?key|user ?name|password)",
    r"(?:api )?access (?:to (?:you|api|the api) )?(?:is )?(?:not allowed|denied|not enabled|disabled|forbidden)",
    r"this user is not active",
    r"(?:user|(?:your )?account)(?: is| has been)? "
    r"(?:not active|inactive|suspended|disabled|blocked|banned|locked|closed)",
    r"(?:the )?(?:web ?site|site|server|system|api) is (?:in|under) maintenance(?: mode)?"
    r"(?: please)?(?: try again(?: later)?| come back later)?",
    r"(?:authentication|login) failed",
    r"unauthori[sz]ed(?: access)?",
    r"(?:your )?ip(?: address)? (?:is )?(?:not allowed|not whitelisted|blocked|banned)",
)
_CREDIT = _whole(
    r"(?:your )?credits? (?:has|have) been finished",
    r"(?:you (?:do not|don t) have enough|(?:you have )?not enough|insufficient|low|no) (?:credits?|balance|funds)"
    r"(?: balance| in your account)?",
)
_SERVICE = _whole(
    r"invalid (?:value of )?(?:network|service|package|tool)(?: ?id)?",
    r"(?:this |the )?(?:network|service|package|tool)(?: is)?(?: currently| temporarily)? "
    r"(?:not found|not available|unavailable|disabled|closed|inactive|not active|down|offline)",
    r"(?:network|service|package) (?:does not|doesn t) exist",
)
_ORDER = _whole(
    r"(?:invalid|wrong|incorrect|bad) (?:value of )?imei(?: number)?",
    r"(?:this |the )?imei (?:number )?(?:[0-9]+ )?(?:is )?(?:invalid|not valid|incorrect|wrong)",
    r"imei (?:number )?(?:must|should) (?:be|have) 15 digits",
)
_OVERLOAD = _anywhere(
    r"busy",
    r"overload",
    r"try again later",
    r"temporar(?:y|ily)",
    r"internal (?:server )?error",
    r"timed? ?out",
    r"database error",
    r"server error",
    r"unavailable",
)
_KINDS = (
    (ErrorKind.ACCOUNT, _ACCOUNT),
    (ErrorKind.ACCOUNT, _CREDIT),
    (ErrorKind.SERVICE, _SERVICE),
    (ErrorKind.ORDER, _ORDER),
    (ErrorKind.RATE, _RATE),
    (ErrorKind.RATE, _ONLY_WAIT),
    (ErrorKind.OVERLOAD, _OVERLOAD),
)


def read_error(text: str) -> WholeError:
    """Read an error text into its kind, whether it says "ordered before", and the wait that it asks for."""
    message = read_words(text)
    said = normalise(message)
    if _DUPLICATE.search(said):
        return WholeError(ErrorKind.ORDER, message, duplicate=True)
    kind = _find_kind(said, is_partial=speaks_of_orders(text))
    is_of_credit = kind is ErrorKind.ACCOUNT and _CREDIT.search(said) is not None
    return WholeError(kind, message, retry_after_s=find_wait(message), is_of_credit=is_of_credit)


def normalise(text: str) -> str:
    """Give a text in lower case, without punctuation, and without brackets or numbers at its end."""
    text = text.lower()
    while (shorter := _BRACKETS.sub("", text)) != text:
        text = shorter
    words = _NOT_WORD.sub(" ", text).strip()
    return _LAST_NUMBERS.sub("", words)


def says_rate(text: str) -> bool:
    """Say whether a text speaks of too many calls, or of a time to wait, wherever in it."""
    words = _NOT_WORD.sub(" ", text.lower())
    return _RATE.search(words) is not None or _WAIT.search(words) is not None


def speaks_of_orders(text: str) -> bool:
    """Say whether a text, however long, speaks of something that went through; in brackets too."""
    return _PARTIAL.search(_NOT_WORD.sub(" ", read_words(text, len(text)).lower())) is not None


def says_only_rate(text: str) -> bool:
    """Say whether a text speaks of too many calls, and of nothing that went through."""
    return _RATE.search(_NOT_WORD.sub(" ", text.lower())) is not None and not speaks_of_orders(text)


def _find_kind(said: str, *, is_partial: bool) -> ErrorKind:
    if _CHUNK.search(said):
        return ErrorKind.CHUNK
    if is_partial:
        return ErrorKind.UNKNOWN
    for kind, pattern in _KINDS:
        if pattern.search(said):
            return kind
    return ErrorKind.UNKNOWN
