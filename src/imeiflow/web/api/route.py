"""Carrying operations out over HTTP: who calls, what was sent, what was asked before, and the answer.

The one place of the API that knows the framework.
"""

from __future__ import annotations

import asyncio
import hashlib
import inspect
import re
import secrets
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from litestar import Request, Response
from litestar.datastructures import State, UploadFile
from litestar.handlers import HTTPRouteHandler
from litestar.response import Stream
from litestar.status_codes import HTTP_204_NO_CONTENT

from imeiflow.domain.ident import JobId
from imeiflow.domain.order import JobState
from imeiflow.errors import ImeiflowError
from imeiflow.operations.json_text import dump_json
from imeiflow.operations.submit import PriceChangedError
from imeiflow.web.api.allowance import Buckets
from imeiflow.web.api.credential import check_scope, find_caller
from imeiflow.web.api.operation import Call, Operation, Repeat, Reply, StreamReply, Upload
from imeiflow.web.api.problem import MEDIA_TYPE, ApiError, status_of, tell_error
from imeiflow.web.api.reading import read_form, read_json, read_path, read_query
from imeiflow.web.office import Office
from imeiflow.web.thread import in_thread

KEY_HEADER: Final = "idempotency-key"
_LONGEST_KEY: Final = 255
_KEY: Final = re.compile(rf"[!-~]{{1,{_LONGEST_KEY}}}")
_PART: Final = 1 << 20
_FORM_EXTRA: Final = 1 << 20  #: bytes of a form beside its file

#: This process, among those that have used the ledger: what another had begun is over.
_OWNER: Final = secrets.token_hex(16)


def make_handler(operation: Operation, office: Office, buckets: Buckets) -> HTTPRouteHandler:
    """Make the route of an operation."""

    async def handle(request: Request[Any, Any, State]) -> Response[Any]:
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
            return await _run(operation, request, replace(call, body=body, upload=upload))

    largest = office.settings.max_upload_bytes + _FORM_EXTRA if operation.form is not None else operation.largest
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


async def _run(operation: Operation, request: Request[Any, Any, State], call: Call) -> Response[Any]:
    key = request.headers.get(KEY_HEADER)
    if key is None or not operation.is_repeatable:
        return _answer(await _carry_out(operation, call))
    _check_key(key)
    ledger, user = call.session.ledger, call.token.user.id
    digest = await in_thread(_digest, operation, call)
    kept = await in_thread(ledger.claim_request, user, key, digest=digest, owner=_OWNER)
    if kept is not None and kept.digest != digest:
        detail = "This Idempotency-Key was used for another request."
        raise ApiError(409, detail, code="key-used", remedy="Take a new key for each new request.")
    if kept is not None and kept.status is not None:
        return _make_json(kept.body, kept.status, {"idempotency-replayed": "true"})
    if kept is not None and kept.owner == _OWNER and not await _has_started(call, kept.job):
        detail = "The request with this Idempotency-Key is still being carried out."
        raise ApiError(409, detail, code="under-way", remedy="Ask again in a second.", headers={"retry-after": "1"})
    repeat = Repeat(user=user, key=key, job=None if kept is None else kept.job)
    try:
        reply = await _carry_out(operation, replace(call, repeat=repeat))
    except PriceChangedError as error:
        # Carried out again, it would order at a price that whoever asks may never have been told.
        told = dump_json(tell_error(error))
        await asyncio.shield(in_thread(ledger.keep_answer, user, key, status=status_of(error), body=told))
        raise
    except BaseException as error:
        # What was ordered is told by its key, whatever went wrong after that.
        is_told = isinstance(error, ApiError | ImeiflowError)
        if repeat.job is None or (is_told and not await _has_started(call, repeat.job)):
            await asyncio.shield(in_thread(ledger.release_request, user, key))
        raise
    done = reply if isinstance(reply, Reply) else Reply(value=reply, status=operation.status)
    body = dump_json(done.value)
    await asyncio.shield(in_thread(ledger.keep_answer, user, key, status=done.status, body=body))
    return _make_json(body, done.status, done.headers)


async def _has_started(call: Call, job: JobId | None) -> bool:
    """Say whether what a request was to order was let go."""
    found = None if job is None else await in_thread(call.session.ledger.find_job, job)
    return found is not None and found.state is not JobState.DRAFT


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


def _check_key(key: str) -> None:
    if not _KEY.fullmatch(key):
        raise ApiError(
            422,
            f"header.{KEY_HEADER}: it is no key.",
            remedy=f"Give 1 to {_LONGEST_KEY} printable ASCII characters without spaces, a UUID for instance.",
        )


def _digest(operation: Operation, call: Call) -> str:
    """Digest what a request says: two forms with the same fields and file say the same."""
    said = [operation.name, repr(sorted(call.path.items())), repr(call.query), repr(call.body)]
    if call.upload is not None:
        said += [call.upload.name, call.upload.digest]
    return hashlib.sha256("\0".join(said).encode("utf-8", "surrogatepass")).hexdigest()


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
    form = await request.form()
    pairs = [(name, value) for name, value in form.multi_items() if not isinstance(value, UploadFile)]
    files = [(name, value) for name, value in form.multi_items() if isinstance(value, UploadFile)]
    fields = read_form(kind, pairs)
    if [name for name, _ in files] != ["file"]:
        raise ApiError(
            422,
            "body.file: it is missing." if not files else "body.file: there has to be one file, in the field `file`.",
            remedy="Send the list as `file`, with a file name.",
        )
    file = files[0][1]
    path = folder / "upload"
    digest = hashlib.sha256()
    size = 0
    with path.open("wb") as target:
        while part := await file.read(_PART):
            size += len(part)
            digest.update(part)
            await in_thread(target.write, part)
    if size > request.app.state.office.settings.max_upload_bytes:
        raise ApiError(413, "The file is larger than this server takes.", remedy="Part it into several lists.")
    return fields, Upload(name=file.filename, path=path, size=size, digest=digest.hexdigest())
