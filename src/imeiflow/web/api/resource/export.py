"""Exports: lists given back, by way of the disk, so that memory does not grow with the jobs."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated, Final

from msgspec import Meta

from imeiflow.domain.ident import JobId
from imeiflow.domain.user import Scope
from imeiflow.operations.audit import record_action
from imeiflow.operations.export import EXPORTED_HEADER, ExportFormat, Layout, Wish
from imeiflow.web.api.operation import Call, Operation, StreamReply
from imeiflow.web.api.resource.order import Selection, read_selection
from imeiflow.web.api.value import contradict
from imeiflow.web.delivery import MEDIA_TYPES, name_type, pack
from imeiflow.web.thread import in_thread


class ExportQuery(Selection):
    """Which rows, and how they are written."""

    format: Annotated[ExportFormat, Meta(description="csv, xlsx or jsonl.")] = ExportFormat.CSV
    layout: Annotated[
        Layout,
        Meta(description="results; failed: what can be mended and sent again; gsm-fusion: the provider's own columns."),
    ] = Layout.RESULTS


async def export_orders(call: Call) -> StreamReply:
    """Give lists back with what became of every row; all jobs unless some are named.

    The files' own columns stay as they are, in the original order. Works at any time, also half way. It comes when it
    is whole; where too many are being made or fetched already, the answer is 503 and says when to ask again. The header
    `imeiflow-export` counts, as JSON, what was written.
    """
    query: ExportQuery = call.query
    _check(query)
    wish = Wish(
        jobs=tuple(map(JobId, query.job)) if query.job else None,
        filter=read_selection(query, "query"),
        format=query.format,
        layout=query.layout,
    )
    only = wish.jobs[0] if wish.jobs is not None and len(wish.jobs) == 1 else None
    await in_thread(_find_jobs, call, wish)
    parcel = await pack(call.office, call.actor, wish, is_marked=False)
    told = {"token": call.token.name, "format": query.format.value}
    await in_thread(record_action, call.session, call.actor, "export", job=only, **told)
    suffix = "tsv" if query.layout is Layout.GSM_FUSION else query.format.value
    of = "jobs" if only is None else f"job-{only}"
    return StreamReply(
        parts=parcel.parts(),
        media_type=name_type(wish),
        headers={
            "content-disposition": f'attachment; filename="{of}-{query.layout.value}.{suffix}"',
            "content-length": str(parcel.size),
            EXPORTED_HEADER: json.dumps(asdict(parcel.done)),
        },
    )


def _find_jobs(call: Call, wish: Wish) -> None:
    """Raise UnknownJobError where a job that is named is not there."""
    for job in wish.jobs or ():
        call.session.find_job(job)


def _check(query: ExportQuery) -> None:
    if query.layout is Layout.GSM_FUSION and query.format is not ExportFormat.CSV:
        remedy = "Leave `format` out: it is tab separated text."
        raise contradict("query.format", "the layout gsm-fusion has a format of its own", remedy, query.format.value)
    if query.layout is Layout.FAILED and query.format is ExportFormat.JSONL:
        remedy = "Take csv or xlsx: they are a list to be sent again."
        raise contradict("query.format", "failed rows are no JSON lines", remedy, query.format.value)


OPERATIONS: Final = (
    Operation(
        method="GET",
        path="/export",
        tag="Orders",
        scope=Scope.READ,
        handle=export_orders,
        query=ExportQuery,
        media_types=MEDIA_TYPES,
        errors=(404, 409, 422),
        query_example={"job": 7, "format": "csv"},
    ),
)
