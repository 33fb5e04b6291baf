"""Drafts: a list is taken in, read in the background, shown with its cost, and ordered once it is confirmed."""

from __future__ import annotations

import re
import shutil
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Final

from msgspec import UNSET, Meta, UnsetType

from imeiflow.domain.ident import JobId, ServiceId
from imeiflow.domain.order import JobState, Policy
from imeiflow.domain.user import Scope
from imeiflow.operations.json_object import describe_proposal
from imeiflow.operations.preparation import Preparation, Stage, clean_file_name
from imeiflow.operations.submit import Request
from imeiflow.operations.upload_folder import list_path, taking_in
from imeiflow.web.api.operation import Call, Operation, Reply
from imeiflow.web.api.problem import ApiError, tell_error
from imeiflow.web.api.resource.catalogue import choose_account
from imeiflow.web.api.resource.job import EXAMPLE as JOB_EXAMPLE
from imeiflow.web.api.resource.job import summarise
from imeiflow.web.api.value import Account, Amount, In, JobSummary, Out, read_amount, refuse
from imeiflow.web.thread import in_thread

_MOST_IMEIS: Final = 2_000_000
_LARGEST_JSON: Final = 64_000_000
_PARTING: Final = re.compile(r"[\s,;|\"\x00-\x1f\x7f]+")

Name = Annotated[str, Meta(max_length=200, description="What the job is called; otherwise the file's name.")]
Service = Annotated[
    str, Meta(min_length=1, max_length=200, pattern=r"\S", description="What to order: an id of /services.")
]
Column = Annotated[
    str,
    Meta(min_length=1, max_length=200, description="Column of the IMEIs: header, letter or number; else it is found."),
]
Figure = Annotated[
    str, Meta(max_length=40, description="What `figure` of the draft says: for a large sum it has to be repeated.")
]


class DraftForm(In):
    """What to order, and how; `file` beside it is the list: csv, xlsx or txt."""

    service: Service
    account: Account | None = None
    name: Name = ""
    column: Column | None = None
    max_spend: Annotated[Amount, Meta(description="Pause before more than this is spent.")] | None = None
    chunk_size: Annotated[int, Meta(ge=1, le=100, description="So many IMEIs a call work here: no trial.")] | None = (
        None
    )
    max_concurrency: Annotated[int, Meta(ge=1, le=1000, description="Never more calls at once.")] | None = None
    rate_per_min: Annotated[float, Meta(ge=0.01, le=1_000_000, description="Never more calls a minute.")] | None = None
    unconfirmed: Annotated[
        Policy, Meta(description="settle: as far as can be known. hold: never send again what may have been placed.")
    ] = Policy.SETTLE
    follow_results: Annotated[bool, Meta(description="Its results are waited for, not only its orders.")] = False
    again: Annotated[bool, Meta(description="Order also what was ordered before, and pay for it again.")] = False


class DraftBody(DraftForm, kw_only=True):
    """What to order, and how, with the list itself."""

    imeis: Annotated[
        list[Annotated[str, Meta(max_length=200)]],
        Meta(min_length=1, max_length=_MOST_IMEIS, description="The list, read as a file's column would be."),
    ]


class DraftChange(In):
    """What is to be otherwise; the list is read again."""

    service: Service | UnsetType = UNSET
    account: Account | UnsetType = UNSET
    column: Annotated[str, Meta(min_length=1, max_length=200)] | UnsetType | None = UNSET
    again: bool | UnsetType = UNSET


class Confirmation(In):
    """The word to order. It cannot be undone."""

    version: (
        Annotated[
            int,
            Meta(ge=1, le=10**9, description="That of the draft as you saw it: turned away where it is another now."),
        ]
        | None
    ) = None

    figure: Figure | None = None
    max_spend: Annotated[Amount, Meta(description="Pause before more than this is spent.")] | None = None
    trial: (
        Annotated[int, Meta(ge=1, le=1000, description="Send the first so many, then pause: look, and resume.")] | None
    ) = None


class Draft(Out):
    """A list on its way to be ordered. Drafts are kept for a few hours, and not over a restart of the server."""

    id: str
    version: Annotated[int, Meta(ge=1, description="Of what it proposes: confirm it, and nothing else is ordered.")]
    stage: Annotated[
        Stage, Meta(description="reading; ready to be confirmed; failed, see `problem`; ordered, see `job`.")
    ]
    rows: Annotated[int, Meta(ge=0, description="Rows that were read so far.")]
    began_at: str
    problem: Annotated[dict[str, Any], Meta(description="Why it could not be read, as problem details.")] | None
    proposal: (
        Annotated[
            dict[str, Any],
            Meta(description="What it would order and cost, as `imeiflow submit --dry-run --json` prints it."),
        ]
        | None
    )
    figure: Annotated[str, Meta(description="What has to be repeated to confirm; null where nothing has.")] | None
    job: int | None


async def create_draft(call: Call) -> Reply:
    """Take a list in, as JSON or as a file; it is read in the background, and nothing is ordered.

    Look at the draft until its stage is `ready`, then confirm it.
    """
    form: DraftForm = call.body
    account = choose_account(call, form.account, "body.account")
    cap = read_amount(form.max_spend, "body.max_spend")
    preparations = call.office.preparations
    folder = await in_thread(preparations.make_folder, call.actor)
    try:
        with taking_in():
            shown = await in_thread(_take_in, call, folder)
        wanted = Request(
            source=list_path(folder),
            source_name=shown,
            service=ServiceId(form.service),
            account=account.name,
            name=form.name or shown,
            column=form.column,
            max_spend=cap,
            chunk_size=form.chunk_size,
            max_concurrency=form.max_concurrency,
            rate=form.rate_per_min,
            policy=form.unconfirmed,
            again=form.again,
            follow_results=form.follow_results,
            submitted_by=call.actor,
        )
        begun = await in_thread(preparations.begin, folder, call.actor, wanted)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return Reply(value=describe_draft(begun), status=201, headers={"location": f"/api/v1/drafts/{begun.id}"})


def _take_in(call: Call, folder: Path) -> str:
    """Put the list where drafts are read from, and give the name to show."""
    target = list_path(folder)
    if call.upload is not None:
        if not call.upload.size:
            name = clean_file_name(call.upload.name)
            raise refuse("body.file", "it is empty", "Send a file with IMEIs.", name, status=409, code="empty")
        shutil.move(call.upload.path, target)
        target.chmod(0o600)
        return clean_file_name(call.upload.name)
    with target.open("w", encoding="utf-8", errors="replace") as file:
        target.chmod(0o600)
        file.write("IMEI\n")
        # A line each: what would part it into columns is a space.
        file.writelines(f"{_PARTING.sub(' ', text).strip()}\n" for text in call.body.imeis)
    return "list.csv"


def show_draft(call: Call) -> dict[str, Any]:
    """Show a draft: how far it is read, then what it would order and cost."""
    return describe_draft(_find(call))


def change_draft(call: Call) -> dict[str, Any]:
    """Read a draft's list again: another service, account or column, or also what was ordered before."""
    one, body = _find(call), call.body
    if one.stage is Stage.ORDERED:
        raise _ordered(one)
    request = one.request
    account = request.account if body.account is UNSET else choose_account(call, body.account, "body.account").name
    call.office.preparations.change(
        one,
        service=request.service if body.service is UNSET else ServiceId(body.service),
        account=account,
        column=request.column if body.column is UNSET else body.column,
        again=request.again if body.again is UNSET else body.again,
    )
    return describe_draft(one)


def discard_draft(call: Call) -> Reply:
    """Forget a draft with its list; nothing was ordered."""
    one = _find(call)
    if one.stage is Stage.ORDERED:
        raise _ordered(one)
    call.office.preparations.discard(one)
    return Reply(status=204)


async def confirm_draft(call: Call) -> Reply:
    """Order what a draft proposes, once; it cannot be undone.

    Confirmed again it gives the same job. With an Idempotency-Key that holds over a restart of the server, too.
    Where the price has changed, or the draft is another than the `version` that you name, nothing is ordered: look at
    it again, and confirm it with another key.
    """
    body: Confirmation = call.body
    cap, repeat = read_amount(body.max_spend, "body.max_spend"), call.repeat
    if repeat is not None and repeat.job is not None:
        ordered = await in_thread(call.session.ledger.find_job, repeat.job)
        if ordered is not None and ordered.state is not JobState.DRAFT:
            return await in_thread(_tell_ordered, call, ordered.id)
    one = await in_thread(_find, call)
    if repeat is not None and one.draft is not None:
        repeat.job = one.draft.job
        await in_thread(call.session.ledger.note_request, repeat.user, repeat.key, one.draft.job)
    job, lock = await in_thread(
        call.office.preparations.confirm,
        one,
        typed=body.figure or "",
        max_spend=cap,
        trial=body.trial,
        version=body.version,
    )
    if lock is not None:
        call.office.runner.adopt(job, lock)
    return await in_thread(_tell_ordered, call, job)


def _tell_ordered(call: Call, job: JobId) -> Reply:
    return Reply(value=summarise(call, job), status=201, headers={"location": f"/api/v1/jobs/{job}"})


def describe_draft(one: Preparation) -> dict[str, Any]:
    """Give a draft as the API shows it."""
    with one.lock:
        stage, error, proposal, figure, version = one.stage, one.error, one.proposal, one.figure, one.version
    problem = None
    if error is not None:
        problem = tell_error(error)
    return {
        "id": one.id,
        "version": version,
        "stage": stage,
        "rows": one.rows,
        "began_at": one.began_at,
        "problem": problem,
        "proposal": None if proposal is None else describe_proposal(proposal),
        "figure": None if stage is Stage.ORDERED else figure,
        "job": one.job,
    }


def _find(call: Call) -> Preparation:
    return call.office.preparations.find(call.path["draft"], call.actor)


def _ordered(one: Preparation) -> ApiError:
    remedy = f"It is job {one.job} now: /jobs/{one.job}."
    return ApiError(409, "This draft was ordered.", code="ordered", remedy=remedy)


_ID: Final = "b2Zm1yTq0cAe7RkX"
_EXAMPLE: Final = {
    "id": _ID,
    "version": 1,
    "stage": "ready",
    "rows": 20000,
    "began_at": "2026-11-28T14:29:50+00:00",
    "problem": None,
    "proposal": {
        "source": "phones.xlsx",
        "service": "12",
        "price": Decimal("0.08"),
        "cost": Decimal("1600.00"),
        "currency": "USD",
        "total": 20000,
        "valid": 20000,
    },
    "figure": "1600.00",
    "job": None,
}
_READING: Final = {**_EXAMPLE, "stage": "reading", "rows": 0, "proposal": None, "figure": None}
_ONE: Final[dict[str, Any]] = {"tag": "Drafts", "path_example": {"draft": _ID}}

OPERATIONS: Final = (
    Operation(
        method="POST",
        path="/drafts",
        tag="Drafts",
        scope=Scope.ORDER,
        handle=create_draft,
        body=DraftBody,
        form=DraftForm,
        answer=Draft,
        status=201,
        errors=(404, 409, 422),
        is_repeatable=True,
        largest=_LARGEST_JSON,
        body_example={"service": "12", "imeis": ["356938030000013", "356938030000021"], "max_spend": 500},
        example=_READING,
    ),
    Operation(
        method="GET",
        path="/drafts/{draft}",
        scope=Scope.READ,
        handle=show_draft,
        answer=Draft,
        errors=(404,),
        example=_EXAMPLE,
        **_ONE,
    ),
    Operation(
        method="PATCH",
        path="/drafts/{draft}",
        scope=Scope.ORDER,
        handle=change_draft,
        body=DraftChange,
        answer=Draft,
        errors=(404, 409, 422),
        body_example={"column": "B"},
        example=_READING,
        **_ONE,
    ),
    Operation(
        method="DELETE",
        path="/drafts/{draft}",
        scope=Scope.ORDER,
        handle=discard_draft,
        status=204,
        errors=(404, 409),
        **_ONE,
    ),
    Operation(
        method="POST",
        path="/drafts/{draft}/confirm",
        scope=Scope.ORDER,
        handle=confirm_draft,
        body=Confirmation,
        answer=JobSummary,
        status=201,
        errors=(404, 409, 422),
        is_repeatable=True,
        body_example={"version": 1, "figure": "1600.00", "trial": 5},
        example={**JOB_EXAMPLE, "state": "running", "accepted": 0, "queued": 20000, "refused": 0, "unconfirmed": 0},
        **_ONE,
    ),
)
