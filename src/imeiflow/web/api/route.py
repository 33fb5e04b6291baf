"""Carrying operations out over HTTP: who calls, what was sent, what was asked before, and the answer.

The one place of the API that knows the framework.
"""

from __future__ import annotations

import inspect
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from litestar import Request, Response
from litestar.datastructures import State
from litestar.handlers import HTTPRouteHandler
from litestar.response import Stream
from litestar.status_codes import HTTP_204_NO_CONTENT

from imeiflow.operations.json_text import dump_json
from imeiflow.web.api.allowance import Buckets
from imeiflow.web.api.credential import check_scope, find_caller
from imeiflow.web.api.form import receive_form
from imeiflow.web.api.operation import Call, Operation, Reply, StreamReply, Upload
from imeiflow.web.api.problem import MEDIA_TYPE, ApiError
from imeiflow.web.api.reading import read_form, read_json, read_path, read_query
from imeiflow.web.api.repeat import KEY_HEADER, Repeats
from imeiflow.web.office import office_of
from imeiflow.web.thread import in_thread

_PART: Final = 1 << 20
_FORM_EXTRA: Final = 1 << 20  #: bytes of a form beside its file


def make_handler(operation: Operation, max_upload_bytes: int) -> HTTPRouteHandler:
    """Make the route of an operation, for any office."""

    async def handle(request: Request[Any, Any, State]) -> Response[Any]:
        office = office_of(request)
        buckets: Buckets = request.scope["state"]["buckets"]
        repeats: Repeats = request.scope["state"]["repeats"]
        token = await find_caller(request, office, buckets)
        request.scope["user"] = token  # for the log
        check_scope(token, operation.scope)
        call = Call(
            office=office,
            token=token,
            path=read_path(request.path_params),
            query=read_query(operation.query, request.query_params.multi_items()),
            body=None,
        )
        async with _read_body(operation, request) as (body, upload):
            return await _run(operation, request, replace(call, body=body, upload=upload), repeats)

    largest = max_upload_bytes + _FORM_EXTRA if operation.form is not None else operation.largest
    return HTTPRouteHandler(
        route_path(operation.path),
        http_method=operation.method,  # type: ignore[arg-type]
        name=operation.name,
        include_in_schema=False,
        request_max_body_size=largest,
        status_code=200,
    )(handle)


def route_path(path: str) -> str:
    """Give the path of an operation as the framework wants it."""
    return path.replace("}", ":str}")


async def _run(operation: Operation, request: Request[Any, Any, State], call: Call, repeats: Repeats) -> Response[Any]:
    key = request.headers.get(KEY_HEADER)
    if key is None or not operation.is_repeatable:
        return _answer(await _carry_out(operation, call))

    async def carry_out(repeated: Call) -> Reply:
        reply = await _carry_out(operation, repeated)
        assert isinstance(reply, Reply)  # noqa: S101 - a stream is not repeatable
        return reply

    answer = await repeats.answer(operation, call, key, carry_out)
    headers = {**answer.headers, **({"idempotency-replayed": "true"} if answer.is_replayed else {})}
    return _make_json(answer.body, answer.status, headers)


async def _carry_out(operation: Operation, call: Call) -> Any:
    if inspect.iscoroutinefunction(operation.handle):
        reply = await operation.handle(call)
    else:
        reply = await in_thread(operation.handle, call)
    if isinstance(reply, Reply | StreamReply):
        return reply
    return Reply(value=reply, status=operation.status)


def _answer(reply: Reply | StreamReply) -> Response[Any]:
    match reply:
        case StreamReply():
            headers = {"cache-control": "no-store", "x-accel-buffering": "no", **reply.headers}
            return Stream(reply.parts, media_type=reply.media_type, headers=headers)
        case Reply(status=204):
            return Response(b"", status_code=HTTP_204_NO_CONTENT, headers=dict(reply.headers))
        case Reply():
            return _make_json(dump_json(reply.value), reply.status, reply.headers)


def _make_json(body: str, status: int, headers: Any) -> Response[bytes]:
    media_type = "application/json" if status < 400 else MEDIA_TYPE
    return Response(body.encode(), status_code=status, media_type=media_type, headers=dict(headers))


@asynccontextmanager
async def _read_body(
    operation: Operation, request: Request[Any, Any, State]
) -> AsyncIterator[tuple[Any, Upload | None]]:
    media_type = request.content_type[0].lower()
    if operation.body is None and operation.form is None:
        yield None, None
    elif operation.form is not None and media_type == "multipart/form-data":
        with tempfile.TemporaryDirectory(prefix="imeiflow-") as folder:
            yield await _read_form(operation.form, request, Path(folder))
    elif operation.body is not None and media_type == "application/json":
        raw = await request.body()
        yield (
            (await in_thread(read_json, operation.body, raw) if len(raw) > _PART else read_json(operation.body, raw)),
            None,
        )
    elif operation.body is not None and not operation.needs_body and not media_type and not await request.body():
        yield read_json(operation.body, b"{}"), None
    else:
        taken = [
            *(["application/json"] if operation.body is not None else []),
            *(["multipart/form-data"] if operation.form is not None else []),
        ]
        detail = f"The body is {media_type or 'of no kind'}; this takes {' or '.join(taken)}."
        raise ApiError(
            415, detail, remedy="Say what the body is with Content-Type.", headers={"accept": ", ".join(taken)}
        )


async def _read_form(kind: type, request: Request[Any, Any, State], folder: Path) -> tuple[Any, Upload]:
    pairs, files = await receive_form(request, folder, most=office_of(request).settings.max_upload_bytes)
    fields = read_form(kind, pairs)
    if [name for name, _ in files] != ["file"]:
        raise ApiError(
            422,
            "body.file: it is missing." if not files else "body.file: there has to be one file, in the field `file`.",
            remedy="Send the list as `file`, with a file name.",
        )
    return fields, files[0][1]
