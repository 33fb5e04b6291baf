"""`imeiflow demo`: a list from start to finish at a simulated provider, and the proof that all is accounted for."""

from __future__ import annotations

import shlex
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click

from imeiflow.cli.following import watch_job
from imeiflow.cli.log import keep_log
from imeiflow.cli.option import command, json_option
from imeiflow.cli.output import count, end_sentence, print_json, say, screen_width, show_seconds, tell
from imeiflow.cli.preview import describe_cost
from imeiflow.cli.program import INTERRUPTED
from imeiflow.cli.report import headline, tell_counts, tell_money
from imeiflow.domain.ident import JobId
from imeiflow.errors import UsageError
from imeiflow.operations.demonstration import (
    LIST_NAME,
    MOST_IMEIS,
    RESULTS_NAME,
    Stage,
    choose_behaviour,
    open_stage,
)
from imeiflow.operations.export import Wish, export_to_file
from imeiflow.operations.follow import Followed
from imeiflow.operations.job_detail import show_reason
from imeiflow.operations.proof import Proof, show_amount
from imeiflow.operations.submit import Proposal, read_list
from imeiflow.simulator.behaviour import Behaviour
from imeiflow.simulator.delay import Delay

_HOLDS: Final = "The proof holds: every IMEI is accounted for, none is lost, none was paid for twice."
_FAILS: Final = "THE PROOF DOES NOT HOLD: ledger and provider disagree. Please report this, with the folder below."


@command(
    examples="""
    imeiflow demo                             about half a minute
    imeiflow demo --imeis 2000 --keep look    a smaller one, kept in ./look
    imeiflow demo --fault reset:after@10%     loses one reply in ten
    imeiflow demo --behaviour chunk_limit=1 --imeis 300
    """
)
@click.option(
    "--imeis",
    type=click.IntRange(1, MOST_IMEIS),
    default=20_000,
    show_default=True,
    metavar="N",
    help="Rows of the list.",
)
@click.option(
    "--behaviour",
    "changes",
    multiple=True,
    metavar="NAME=VALUE",
    help="Let the provider behave otherwise; `imeiflow simulate --help` lists the names.",
)
@click.option(
    "--fault", "faults", multiple=True, metavar="FAULT", help="Lose other replies than it would, e.g. cut:after@5%."
)
@click.option("--seed", type=int, default=1, show_default=True, metavar="N", help="Another list and other luck.")
@click.option("--keep", metavar="DIR", help="Keep list, results and ledger in this new folder.")
@json_option
def demo(
    *, imeis: int, changes: tuple[str, ...], faults: tuple[str, ...], seed: int, keep: str | None, is_json: bool
) -> int:
    """Send 20,000 IMEIs to a simulated provider, then prove that every one is accounted for.

    Needs no account, no key and no money, and leaves your own ledger alone. The provider is made up, the rest is real:
    the list is read, checked, ordered and followed as `imeiflow submit` does it. At the end the ledger is compared
    with the provider's own order book, order by order. Ends with 0 only if they agree.
    """
    behaviour = choose_behaviour(seed, _read_changes(changes, faults))
    directory = Path(keep).expanduser().absolute() if keep else Path(tempfile.mkdtemp(prefix="imeiflow-demo-"))
    with open_stage(directory, behaviour, imeis) as stage:
        tell(_introduce(behaviour), is_aside=True)
        followed = _submit(stage)
        if followed.was_interrupted:
            say(f"Interrupted: the demonstration ends here. What it wrote is in {directory}")
            return INTERRUPTED
        proof = stage.prove(followed.summary.job)
        export_to_file(stage.session, Wish(jobs=(followed.summary.job,)), directory / RESULTS_NAME)
        if is_json:
            _print_json(stage, followed, proof)
        else:
            _report(stage, followed, proof)
    return 0 if proof.holds else 1


def _read_changes(changes: tuple[str, ...], faults: tuple[str, ...]) -> dict[str, str]:
    read: dict[str, str] = {}
    for change in changes:
        name, equals, value = change.partition("=")
        if not equals:
            raise UsageError(problem=f"--behaviour {change}: write NAME=VALUE, for example latency=2")
        read[name.strip()] = value.strip()
    if faults:
        read["faults"] = ";".join(faults)
    return read


def _introduce(behaviour: Behaviour) -> Iterator[str]:
    yield "A simulated provider has started: no account, no key, no money."
    seats = f"{behaviour.capacity} calls at once" if behaviour.capacity else "any number of calls at once"
    usual = Delay.parse(behaviour.latency).first + 100 * behaviour.latency_per_imei
    yield f"It works on {seats}, and needs some {show_seconds(usual)} for a call of 100."
    if behaviour.faults:
        yield "Now and then it takes and charges the orders of a call, and its reply gets lost."
    yield ""


def _submit(stage: Stage) -> Followed:
    """Submit the list as `imeiflow submit --yes` does, and follow it."""
    session = stage.session
    draft, proposal = read_list(session, stage.request)
    with keep_log(session.configuration), draft:
        tell(_tell_list(proposal), is_aside=True)
        draft.start(proposal)
        return watch_job(session, draft.job, lock=draft.lock)


def _tell_list(proposal: Proposal) -> Iterator[str]:
    preview = proposal.preview
    yield f"{LIST_NAME}: {count(preview.total, 'row')}, as a shop's spreadsheet has them"
    told = (
        (preview.valid, f"IMEIs to order, {preview.repaired:,} of them repaired"),
        (preview.repeated, "repeated: ordered once"),
        (preview.invalid, "invalid: not sent"),
    )
    yield from (f"  {number:>9,} {what}" for number, what in told if number)
    yield f"Ordering {describe_cost(proposal)}"
    yield ""


def _print_json(stage: Stage, followed: Followed, proof: Proof) -> None:
    print_json(
        {
            "summary": followed.summary.as_dict(),
            "proof": proof.as_dict(),
            "directory": stage.directory,
            "list": stage.list_path,
            "results": stage.directory / RESULTS_NAME,
        }
    )


def _report(stage: Stage, followed: Followed, proof: Proof) -> None:
    session, job = stage.session, followed.summary.job
    found = session.find_job(job)
    reason = followed.summary.reason
    tell(
        [
            headline(found, followed.summary, followed),
            *tell_counts(followed.summary.tally, map(show_reason, session.ledger.reasons(job)), screen_width()),
            tell_money(found, followed.summary),
            *([f"Why: {end_sentence(reason)}"] if reason else []),
            "",
            *tell_proof(proof),
            "",
        ]
    )
    for line in _tell_next(stage.directory, job):
        click.echo(line)  # not folded: there are commands to be copied


def tell_proof(proof: Proof) -> Iterator[str]:
    """Say in a few lines what the comparison came to, and whether the proof holds."""
    yield "The proof: the provider's own order book against the ledger, order by order"
    charged = proof.ledger_charged - proof.counted_too
    book_charged = proof.book_charged - proof.unknown_charged
    rows = [
        ("", "provider", "ledger"),
        ("orders placed", f"{proof.book_placed - proof.unknown_placed:,}", f"{proof.ledger_placed:,}"),
        ("charged", show_amount(proof, book_charged), show_amount(proof, charged)),
    ]
    widths = [max(len(row[place]) for row in rows) for place in range(3)]
    for name, book, ledger in rows:
        yield f"  {name:<{widths[0]}}  {book:>{widths[1]}}  {ledger:>{widths[2]}}"
    yield from (f"  {line}" for line in _tell_details(proof))
    for kind, group in proof.discrepancies.items():
        yield f"  ! {group.count:,} × {kind.sentence} ({', '.join(group.examples)})"
    if not proof.is_money_equal:
        yield "  ! The sums differ."
    yield _HOLDS if proof.holds else _FAILS


def _tell_details(proof: Proof) -> Iterator[str]:
    if proof.references:
        yield f"{count(proof.references, 'reference')}: the same on both sides"
    if proof.unnamed:
        yield f"{count(proof.unnamed, 'order')} whose reply was lost: found to be placed, charged once"
    if proof.earlier:
        yield f"{count(proof.earlier, 'IMEI')} that the provider had before: recognised, nothing charged"
    if proof.counted_orders:
        yield (
            f"{proof.counted_orders:,} of these counted as spent, {show_amount(proof, proof.counted_too)} too much: "
            "the reply was lost, and a duplicate does not say which order it means"
        )
    if proof.repeated:
        yield f"{count(proof.repeated, 'order')} repeated to learn that repeats are charged here, and reported as such"
    if proof.unknown:
        yield (
            f"{count(proof.unknown, 'order')} not known, and said so: "
            f"the provider has {proof.unknown_placed:,} of them, for {show_amount(proof, proof.unknown_charged)}"
        )


def _tell_next(directory: Path, job: JobId) -> Iterator[str]:
    home = shlex.quote(str(directory))
    yield f"All of it is in {directory}"
    yield f"  {LIST_NAME:<12} the list as it was submitted"
    yield f"  {RESULTS_NAME:<12} the same list, with what became of every row"
    yield "Look around in it:"
    yield f"  export IMEIFLOW_HOME={home}"
    yield f"  imeiflow show {job}"
    yield "  imeiflow orders --state refused"
    yield f"  imeiflow export {job} -o results.xlsx"
    yield "With your own account, in another terminal: set GSM_FUSION_BASE_URL,"
    yield "GSM_FUSION_USERNAME and GSM_FUSION_API_KEY, in the environment or in .env, then"
    yield "  imeiflow submit FILE --service ID --dry-run"
    yield "says what it would order and cost, and sends nothing."
    yield f"When you have seen it: rm -r {home}"
