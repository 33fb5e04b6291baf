"""Reading requests: parameters, JSON and forms become values of the types that operations declare.

What is not right is told with its field, its value and the form that it should have; what is unknown is not ignored.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, get_origin

import msgspec

from imeiflow.web.api.problem import ApiError, Flaw

_PLACE: Final = re.compile(
    r"(?P<problem>.*?)(?: - at (?:`\$(?P<place>[^`]*)`|`key` in `\$(?P<key>[^`]*)`))?", re.DOTALL
)
_SHOWN: Final = 200
_NUMBER: Final = re.compile(r"[1-9][0-9]{0,17}")
_TEXT: Final = re.compile(r"[^\x00-\x1f\x7f/]{1,200}")
#: Path parameters that are numbers; all others are texts.
NUMBERS: Final = frozenset({"job", "order", "delivery"})


def read_path(values: Mapping[str, Any]) -> dict[str, Any]:
    """Read the parameters of a path. Raises ApiError 404 for what can name nothing."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        text = str(value)
        if not (_NUMBER if name in NUMBERS else _TEXT).fullmatch(text):
            raise ApiError(404, f"There is no {name} {text[:_SHOWN]!r}.", remedy="Look at its number in a list.")
        found[name] = int(text) if name in NUMBERS else text
    return found


def read_query(kind: type | None, pairs: Iterable[tuple[str, str]]) -> Any:
    """Read the parameters of a query. Raises ApiError 422."""
    values: dict[str, list[str]] = {}
    for name, value in pairs:
        values.setdefault(name, []).append(value)
    return _convert(kind, values, "query")


def read_form(kind: type, pairs: Iterable[tuple[str, Any]]) -> Any:
    """Read the fields of a form. Raises ApiError 422."""
    values: dict[str, list[str]] = {}
    for name, value in pairs:
        values.setdefault(name, []).append(str(value))
    return _convert(kind, values, "body")


def read_json(kind: type, raw: bytes) -> Any:
    """Read a JSON body. Raises ApiError: 400 for what is no JSON, 422."""
    try:
        return msgspec.json.decode(raw or b"null", type=kind)
    except msgspec.ValidationError as error:
        try:
            value = msgspec.json.decode(raw or b"null")
        except msgspec.DecodeError:
            value = None
        raise _tell(error, value, "body", kind) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ApiError(400, f"The body is no JSON: {error}", remedy="Send an object in JSON, in UTF-8.") from None


def _convert(kind: type | None, values: Mapping[str, list[str]], place: str) -> Any:
    fields = {} if kind is None else {one.encode_name: one for one in msgspec.structs.fields(kind)}
    unknown = [name for name in values if name not in fields]
    if unknown:
        known = f"Known are {', '.join(fields)}." if fields else "It takes none."
        flaws = [
            Flaw(field=f"{place}.{name[:_SHOWN]}", problem="there is no such field", remedy=known) for name in unknown
        ]
        raise ApiError(422, f"{flaws[0].field}: there is no such field.", remedy=known, flaws=flaws)
    single: dict[str, Any] = {}
    for name, given in values.items():
        if get_origin(_plain(fields[name].type)) is list:
            single[name] = given
        elif len(given) > 1:
            flaw = Flaw(field=f"{place}.{name}", problem="it is given twice", value=given[:2], remedy="Give it once.")
            raise ApiError(422, f"{flaw.field}: it is given twice.", flaws=[flaw])
        else:
            single[name] = given[0]
    if kind is None:
        return None
    try:
        return msgspec.convert(single, kind, strict=False)
    except msgspec.ValidationError as error:
        raise _tell(error, single, place, kind) from None


def _plain(kind: Any) -> Any:
    """Give a type without its annotations and without None."""
    while hasattr(kind, "__metadata__"):
        kind = kind.__origin__
    for one in getattr(kind, "__args__", ()):
        if get_origin(_unwrap(one)) is list and get_origin(kind) is not list:
            return _unwrap(one)
    return kind


def _unwrap(kind: Any) -> Any:
    return kind.__origin__ if hasattr(kind, "__metadata__") else kind


def _tell(error: msgspec.ValidationError, value: Any, place: str, kind: type) -> ApiError:
    match = _PLACE.fullmatch(str(error))
    said = match["problem"] if match else str(error)
    inner = (match["place"] or match["key"] or "") if match else ""
    field = f"{place}{inner}"
    found = _look_up(value, inner)
    missing = re.search(r"missing required field `([^`]+)`", said)
    unknown = re.search(r"unknown field `([^`]+)`", said)
    if missing or unknown:
        named = (missing or unknown)[1]  # type: ignore[index]
        field, found = f"{field}.{named}", None
    remedy = "" if missing else say_form(kind, inner)
    if unknown:
        remedy = f"Known are {', '.join(one.encode_name for one in msgspec.structs.fields(kind))}."
    problem = "it is missing" if missing else "there is no such field" if unknown else said.replace("`", "")
    flaw = Flaw(field=field, problem=problem[:1].lower() + problem[1:], value=_shorten(found), remedy=remedy)
    return ApiError(422, f"{field}: {flaw.problem}.", remedy=remedy, flaws=[flaw])


def say_form(kind: type, inner: str) -> str:
    """Say in words what a field takes, from what its type says of itself."""
    name = inner.lstrip(".").split(".")[0].split("[")[0]
    for one in msgspec.structs.fields(kind):
        if one.encode_name == name:
            schema = msgspec.json.schema(one.type)
            described = schema.get("description") or next(
                (part["description"] for part in schema.get("anyOf", ()) if "description" in part), ""
            )
            return str(described)
    return ""


def _look_up(value: Any, inner: str) -> Any:
    for key, index in re.findall(r"\.([^.\[\]]+)|\[(\d+|\.\.\.)\]", inner):
        try:
            value = value[key] if key else value[int(index)]
        except (KeyError, IndexError, TypeError, ValueError):
            return None
    return value


def _shorten(value: Any) -> Any:
    if isinstance(value, str):
        return value[:_SHOWN]
    return value if isinstance(value, int | float | bool) else None
