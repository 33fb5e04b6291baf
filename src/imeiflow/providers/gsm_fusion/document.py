"""From the bytes of a reply to an XML document, or to the reason why there is none. Knows no orders.

Strict first. What fails is repaired once, by rules that can complete nothing: junk around the document and
characters that XML forbids are taken away, then it is parsed strictly again. A document that was cut stays
unreadable: a recovering parser would read it as success. Documents that declare a type or entities are refused.
"""

from __future__ import annotations

import html
import json
import re
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from lxml import etree

from imeiflow.domain.markup import remove_markup

if TYPE_CHECKING:
    from lxml.etree import _Element

MAX_DEPTH = 32
MAX_ELEMENTS = 200_000
WRAPPER = "imeiflow-reply"

_PARSER = etree.XMLParser(
    resolve_entities=False,
    no_network=True,
    load_dtd=False,
    dtd_validation=False,
    huge_tree=False,
    recover=False,
    remove_comments=True,
    remove_pis=True,
)
_IS_TOO_DEEP = etree.XPath(f"boolean({'/*' * (MAX_DEPTH + 1)})")
_DECLARES = re.compile(rb"<!\s*(?:doctype|entity)", re.IGNORECASE)
_HTML_DECLARED = re.compile(r"<!\s*doctype\s+html", re.IGNORECASE)
_FORBIDDEN = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff\ud800-\udfff]")
_AMPERSAND = re.compile(r"&(?:(amp|lt|gt|quot|apos);|#(\d{1,7});|#[xX]([0-9a-fA-F]{1,6});)?")
_SCRIPT = re.compile(r"<(script|style)\b.*?(?:</\1\s*>|$)", re.IGNORECASE | re.DOTALL)
_START = re.compile(r"<([A-Za-z_][\w.-]*(?::[\w.-]+)?)")
_END = re.compile(r"</([A-Za-z_][\w.-]*(?::[\w.-]+)?)\s*>")
_TAG = re.compile(r"<(/?)([A-Za-z_][\w.:-]*)?([^<>]*)(>?)")
#: What a reply in JSON calls an order, or what went through.
_ORDER_FIELD = re.compile(r"success(?:es)?|(?:order_?)?(?:reference|ref)_?(?:id)?|orders?_?(?:ids?)?", re.IGNORECASE)
#: What PHP prints around its warnings.
_JUNK_TAGS = frozenset({"a", "b", "br", "center", "code", "div", "em", "font", "hr", "i", "li", "p", "pre", "small"})
_JUNK_TAGS |= {"span", "strong", "table", "tbody", "td", "th", "tr", "u", "ul"}
_PAGE_TAGS = frozenset({"html", "head", "body", "title", "script", "meta", "style", "link", "form", "iframe"})
_HTML_TAGS = _JUNK_TAGS | _PAGE_TAGS


class Shape(StrEnum):
    """What a reply that holds no readable XML looks like."""

    EMPTY = "empty"
    HTML = "html"
    JSON = "json"
    TEXT = "text"
    MALFORMED = "malformed"  #: XML that was cut, damaged, or is refused
    SHOP = "shop"  #: a whole document with an error that nobody knows: the shop has run


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Why a reply holds no document; `text` is what a person can read in it, without markup, and cut where it is long.

    `whole` is all of it. `names_order`: it has a field that is an order's, such as a reference.
    """

    shape: Shape
    reason: str
    text: str = ""
    whole: str = ""
    names_order: bool = False


def read_document(body: bytes) -> _Element | Unreadable:
    """Read `body` strictly, else repair it once and read it strictly again. Never raises.

    A repaired document's root is `WRAPPER` around what was found.
    """
    if not body.strip(b"\0 \t\r\n\xef\xbb\xbf\xff\xfe"):
        return Unreadable(Shape.EMPTY, "an empty reply")
    count = body.count(b"<")
    if count > 2 * MAX_ELEMENTS:
        return Unreadable(Shape.MALFORMED, "a reply with too many elements")
    if _DECLARES.search(body.replace(b"\0", b"")):
        return _describe_declared(body)
    root = _parse(body)
    if root is None:
        root = _parse_repaired(body)
    if root is None:
        return _describe_unparsed(decode(body))
    return _check(root, body) if count > MAX_DEPTH or local_name(root) in _HTML_TAGS else root


def local_name(element: _Element) -> str:
    """Give an element's name without namespace, in lower case."""
    return _strip_namespace(element.tag)


@lru_cache(maxsize=1024)
def _strip_namespace(tag: object) -> str:
    return str(tag).rpartition("}")[2].lower()


def decode(body: bytes) -> str:
    """Decode by byte order mark, else as UTF-8, else as Windows-1252, else as Latin-1. Never fails."""
    if body.startswith((b"\xff\xfe", b"\xfe\xff")):
        return body.decode("utf-16", "replace")
    for encoding in ("utf-8-sig", "cp1252"):
        try:
            return body.decode(encoding)
        except UnicodeDecodeError:
            continue
    return body.decode("latin-1")


def read_words(text: str, limit: int = 200) -> str:
    """Give the words of a reply without tags, scripts and entities, on one line, at most `limit` characters."""
    return _shorten(html.unescape(re.sub(r"<[^<>]*>", " ", _drop_scripts(text))), limit)


def read_name(text: str, limit: int) -> str:
    """Give a name or note as `read_words` does, but with the words in angle brackets that are no tags of HTML."""
    return _shorten(remove_markup(_drop_scripts(text)), limit)


def _drop_scripts(text: str) -> str:
    return _SCRIPT.sub(" ", text[:65536])


def _shorten(text: str, limit: int) -> str:
    words = " ".join(_FORBIDDEN.sub(" ", text).split())
    return words if len(words) <= limit else words[: limit - 1].rstrip() + "…"


def _parse(body: bytes) -> _Element | None:
    try:
        root = etree.fromstring(body, _PARSER)
    except (etree.XMLSyntaxError, ValueError, LookupError):
        return None
    # An encoding that hid the declaration from the search above cannot hide it here.
    docinfo: Any = root.getroottree().docinfo
    return None if docinfo.doctype else root


def _parse_repaired(body: bytes) -> _Element | None:
    repaired = _repair(decode(body))
    return None if repaired is None else _parse(repaired)


def _check(root: _Element, body: bytes) -> _Element | Unreadable:
    if local_name(root) in _HTML_TAGS:
        return Unreadable(Shape.HTML, "an HTML page", read_words(decode(body)))
    if _IS_TOO_DEEP(root):
        return Unreadable(Shape.MALFORMED, "a reply that is nested too deeply")
    return root


def read_text(element: _Element) -> str:
    """Give all the words inside an element on one line."""
    return " ".join(" ".join(str(text) for text in element.itertext()).split())


def _repair(text: str) -> bytes | None:
    """Take away what stands around the document and what XML forbids; None where no document begins."""
    begin = _find_begin(text)
    if begin is None:
        return None
    parts = split_out(_strip_tail(text[begin:]), "<![CDATA[", "]]>")
    mended = "".join(part if number % 2 else _mend(part) for number, part in enumerate(parts))
    mended = _FORBIDDEN.sub("", mended)
    return f"<{WRAPPER}>{mended}</{WRAPPER}>".encode()


def _find_begin(text: str) -> int | None:
    """Find the first start tag that is not one of PHP's warnings; None where a page begins instead."""
    for match in _START.finditer(text):
        name = match.group(1).lower()
        if name in _PAGE_TAGS:
            return None
        if name not in _JUNK_TAGS:
            return match.start()
    return None


def _strip_tail(text: str) -> str:
    """Take away what follows the last end tag of the document, unless it could be a part of it that was cut."""
    last = 0
    for match in _END.finditer(text):
        if match.group(1).lower() not in _HTML_TAGS:
            last = match.end()
    if last == 0:
        return text
    tail = text[last:]
    tags = list(_TAG.finditer(_drop_instructions(tail)))
    is_junk = all(tag.group(4) and (tag.group(2) or "").lower() in _HTML_TAGS for tag in tags)
    return text[:last] if is_junk else text


def split_out(text: str, opening: str, closing: str) -> list[str]:
    """Split a text into what stands outside and inside of marked pieces, by turns, the marks with the inside.

    What is never closed is outside. The text is gone through once, however many openings it has.
    """
    parts: list[str] = []
    done = 0
    while (begin := text.find(opening, done)) >= 0:
        end = text.find(closing, begin + len(opening))
        if end < 0:
            break
        end += len(closing)
        parts += text[done:begin], text[begin:end]
        done = end
    return [*parts, text[done:]]


def _drop_instructions(text: str) -> str:
    return "".join(split_out(text, "<?", "?>")[::2])


def _mend(text: str) -> str:
    return _AMPERSAND.sub(_mend_reference, _drop_instructions(text))


def _mend_reference(match: re.Match[str]) -> str:
    name, decimal, hexadecimal = match.groups()
    if name:
        return match.group()
    if decimal or hexadecimal:
        code = int(decimal) if decimal else int(hexadecimal, 16)
        if code in {9, 10, 13} or (32 <= code <= 0x10FFFF and not _FORBIDDEN.match(chr(code))):
            return match.group()
    return "&amp;" + match.group()[1:]


def _describe_declared(body: bytes) -> Unreadable:
    text = decode(body)
    if _HTML_DECLARED.search(text.replace("\0", "")):
        return Unreadable(Shape.HTML, "an HTML page", read_words(text))
    return Unreadable(Shape.MALFORMED, "a reply that declares a document type, which is refused")


def _describe_unparsed(text: str) -> Unreadable:
    stripped = text.strip("\ufeff \t\r\n\0")
    if stripped.startswith(("{", "[")):
        try:
            return _describe_json(json.loads(stripped))
        except (ValueError, RecursionError):
            pass
    first = _START.search(text)
    if first is None and "<" not in text:
        return Unreadable(Shape.TEXT, "plain text instead of XML", read_words(text), read_words(text, len(text)))
    if first is not None and first.group(1).lower() in _HTML_TAGS:
        return Unreadable(Shape.HTML, "an HTML page", read_words(text))
    return Unreadable(Shape.MALFORMED, "XML that was cut or damaged", read_words(text))


def _describe_json(value: object) -> Unreadable:
    texts: list[str] = []
    names_order = False
    waiting = [value]
    while waiting:
        match waiting.pop():
            case str(text):
                texts.append(text)
            case list(items):
                waiting += reversed(items)
            case dict(fields):
                names_order = names_order or any(_ORDER_FIELD.fullmatch(name) and fields[name] for name in fields)
                waiting += reversed(list(fields.values()))
    words = ". ".join(filter(None, (read_words(text, len(text)) for text in texts)))
    return Unreadable(Shape.JSON, "a JSON message instead of XML", read_words(words), words, names_order)
