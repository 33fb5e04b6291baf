"""`imeiflow export`: the user's file back, with what became of every row."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from imeiflow.cli.frame import open_session
from imeiflow.cli.option import command, job_argument
from imeiflow.cli.output import count, is_terminal, say
from imeiflow.domain.ident import JobId
from imeiflow.operations.export import ExportFormat, choose_format, export_to_file, export_to_stream

_TOLD_EVERY = 50_000


@command(
    examples="""
    imeiflow export 7 -o results.xlsx          for Excel: IMEIs stay whole
    imeiflow export 7 -o results.csv --force   write over an older export
    imeiflow export 7 -o - --format jsonl | jq 'select(.state == "refused")'
    """
)
@job_argument
@click.option("-o", "--output", required=True, metavar="FILE", help="The file to write; - is standard output.")
@click.option(
    "--format",
    "named",
    type=click.Choice([format_.value for format_ in ExportFormat]),
    help="csv, xlsx or jsonl, where the name does not say it.",
)
@click.option("-f", "--force", is_flag=True, help="Write over a file that is there already.")
def export(job: int, output: str, named: str | None, force: bool) -> None:
    """Give a job's file back, with what became of every row.

    The file's own columns stay as they are, in the original order; behind them stand row, imei, state, reference,
    status, result, error, attempts, price, accepted_at and completed_at. Works at any time, also half way.

    In CSV, text that a spreadsheet would run as a formula gets a ' in front.
    """
    target = None if output == "-" else Path(output).expanduser()
    format_ = choose_format(target, named)
    shows = is_terminal(sys.stderr)

    def tell(rows: int) -> None:
        if shows and rows >= _TOLD_EVERY and rows % _TOLD_EVERY == 0:
            say(f"{rows:,} rows …")

    with open_session() as session:
        if target is None:
            export_to_stream(session, JobId(job), sys.stdout.buffer, format_, on_rows=tell)
            return
        done = export_to_file(session, JobId(job), target, format_, replaces=force, on_rows=tell)
    say(f"{count(done.rows, 'row')} of job {job} written to {target}.")
    if done.open:
        say(f"{count(done.open, 'order')} had no answer yet: export again when the job has ended.")
