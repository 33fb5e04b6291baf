"""`imeiflow export`: the user's file back, with what became of every row."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from imeiflow.cli.frame import open_session
from imeiflow.cli.option import account_option, command
from imeiflow.cli.output import count, is_terminal, say
from imeiflow.cli.selection import read_filter, selection_options
from imeiflow.cli.server import find_client
from imeiflow.domain.ident import JobId
from imeiflow.errors import UsageError
from imeiflow.operations.export import (
    Exported,
    ExportFormat,
    Layout,
    Wish,
    choose_format,
    export_to_file,
    export_to_stream,
)
from imeiflow.results.result import Note

_TOLD_EVERY = 50_000


@command(
    examples="""
    imeiflow export 7 -o results.xlsx            for Excel: IMEIs stay whole
    imeiflow export 7 -o results.csv --force     write over an older export
    imeiflow export 7 --failed -o again.csv      what can be mended and sent again: imeiflow submit again.csv
    imeiflow export --all --status completed --completed-from 2025-11-01 -o november.xlsx
    imeiflow export 7 --layout gsm-fusion -o orders.tsv
    imeiflow export 7 -o - --format jsonl | jq 'select(.state == "refused")'
    """,
    is_remote=True,
)
@click.argument("jobs", type=click.IntRange(min=1), nargs=-1, metavar="[JOB]...")
@click.option("-o", "--output", required=True, metavar="FILE", help="The file to write; - is standard output.")
@click.option("--all", "is_all", is_flag=True, help="All jobs, oldest first, instead of some.")
@click.option(
    "--failed", "is_failed", is_flag=True, help="Only what can be mended and sent again, with an Error column."
)
@click.option(
    "--layout",
    type=click.Choice([Layout.GSM_FUSION.value]),
    help="The provider's own columns, for orders that it has.",
)
@click.option(
    "--format",
    "named",
    type=click.Choice([format_.value for format_ in ExportFormat]),
    help="csv, xlsx or jsonl, where the name does not say it.",
)
@selection_options
@account_option
@click.option("-f", "--force", is_flag=True, help="Write over a file that is there already.")
def export(
    *,
    jobs: tuple[int, ...],
    output: str,
    is_all: bool,
    is_failed: bool,
    layout: str | None,
    named: str | None,
    force: bool,
    **selection: Any,
) -> None:
    """Give a job's file back, with what became of every row.

    The file's own columns stay as they are, in the original order; behind them stand row, imei, state, reference,
    status, result, error, attempts, price, accepted_at and completed_at, then one column for each thing that the
    results say (model, carrier, simlock ...). Works at any time, also half way. Several jobs go into one file, each
    row with its job.

    --failed gives the rows that are invalid, refused, failed or rejected, in your own columns, for another submit.
    What may have been placed is never among them.

    In CSV, text that a spreadsheet would run as a formula gets a ' in front.
    """
    if bool(jobs) == is_all:
        raise UsageError(problem="say which jobs", remedy="Give their numbers, or --all; `imeiflow jobs` lists them.")
    if is_failed and layout:
        raise UsageError(problem="--failed has the columns of your file, so that --layout has no place beside it")
    chosen = Layout.FAILED if is_failed else Layout(layout or Layout.RESULTS)
    target = None if output == "-" else Path(output).expanduser()
    wish = Wish(
        jobs=None if is_all else tuple(map(JobId, jobs)),
        filter=read_filter(**selection),
        format=choose_format(target, named, chosen),
        layout=chosen,
    )
    shows = is_terminal(sys.stderr)

    def tell(rows: int) -> None:
        if shows and rows >= _TOLD_EVERY and rows % _TOLD_EVERY == 0:
            say(f"{rows:,} rows …")

    client = find_client()
    if client is not None:
        from imeiflow.cli.remote.look import export_remotely

        export_remotely(client, wish, target, replaces=force)
        return
    with open_session(is_listing=True) as session:
        if target is None:
            export_to_stream(session, wish, sys.stdout.buffer, on_rows=tell)
            return
        done = export_to_file(session, wish, target, replaces=force, on_rows=tell)
    for line in tell_done(done, wish, target):
        say(line)


def tell_done(done: Exported, wish: Wish, target: Path) -> Iterator[str]:
    """Say what was written, and what a reader of the file has to know."""
    of = f"job {wish.jobs[0]}" if wish.jobs is not None and len(wish.jobs) == 1 else count(done.jobs, "job")
    yield f"{count(done.rows, 'row')} of {of} written to {target}."
    if wish.layout is Layout.FAILED and done.rows:
        yield f"Mend them, then send them again: `imeiflow submit {target} --service ID`."
    if wish.layout is Layout.GSM_FUSION and done.left_out:
        yield f"{count(done.left_out, 'row')} left out: the provider has taken no order of them from here."
    if done.sheets > 1:
        yield f"They stand in {done.sheets} sheets: one has room for 1,048,576 rows."
    if done.cut:
        yield f"{count(done.cut, 'text')} too long for a cell, cut with a note that says so: a .csv has them whole."
    for note in Note:
        if not note.is_plain and done.notes.get(note):
            yield f"{count(done.notes[note], 'result')}: {note.sentence}"
    if done.open:
        yield f"{count(done.open, 'order')} had no answer yet: export again when the job has ended."
