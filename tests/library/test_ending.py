"""Programs that end in the middle: by leaving, by an error, by a signal, by a kill, by a fork."""

from __future__ import annotations

import json
import signal

import pytest

from imeiflow import Client
from tests.library.shop import PATIENCE_S, SERVICE, check_truth, make_imeis

IMEIS = make_imeis(50)
BEGIN = f"""
import threading
from imeiflow import BatchIMEIProcessor
from imeiflow.library.error import ClosedError
from tests.simulator.client import make_imeis

processor, begun = BatchIMEIProcessor(max_workers=2, chunk_size=5), threading.Event()

def say(processed, total, result):
    if processed and not result["done"]:
        print("begun", flush=True)
        begun.set()

def work():
    try:
        return order()
    except ClosedError:
        print("closed", flush=True)

def order():
    return processor.process_batch(make_imeis({len(IMEIS)}), "{SERVICE}", say)
"""
LEAVE_A_THREAD = BEGIN + "threading.Thread(target=work, daemon=True).start(); begun.wait()"
LEAVE_A_GENERATOR = (
    BEGIN + f'moments = processor.process_with_progress(make_imeis({len(IMEIS)}), "{SERVICE}")\n'
    'while not next(moments)["processed"]: pass'
)
FINISH = BEGIN + "import json; result = work(); print(json.dumps(result))"


def wait_until_begun(process):
    """Wait until the program has said that some orders are answered and some are not."""
    said = process.stdout.readline()
    assert said == "begun\n", process.stderr.read()


def finish(shop):
    """Run the same program again to its end, and give its result."""
    return json.loads(shop.run(FINISH).splitlines()[-1])


@pytest.mark.parametrize("program", [LEAVE_A_THREAD, LEAVE_A_GENERATOR], ids=["thread", "generator"])
def test_a_program_that_leaves_lets_calls_under_way_end_and_pauses_the_job(open_shop, program):
    shop = open_shop(latency="0.2", repeats="charge")
    shop.run(program)
    with Client() as client:
        (job,) = client.jobs()
        counts = client.report(job.id).counts
    assert (job.state, counts.unconfirmed) == ("paused", 0)
    assert 0 < counts.accepted == len(shop.book()) < 50
    result = finish(shop)
    check_truth(result, IMEIS, shop.book())
    assert (result["job"], result["successful"]) == (job.id, 50)


def test_ctrl_c_lets_calls_under_way_end_and_is_raised(open_shop):
    shop = open_shop(latency="0.2", repeats="charge")
    with shop.start(BEGIN + "work()") as process:
        wait_until_begun(process)
        process.send_signal(signal.SIGINT)
        _, complained = process.communicate(timeout=PATIENCE_S)
    assert complained.rstrip().endswith("KeyboardInterrupt")
    with Client() as client:
        report = client.report(1)
    assert (report.state, report.reason, report.counts.unconfirmed) == ("paused", "interrupted", 0)
    assert report.counts.accepted == len(shop.book())
    result = finish(shop)
    check_truth(result, IMEIS, shop.book())
    assert result["successful"] == 50


@pytest.mark.parametrize("repeats", ["charge", "refuse"])
def test_a_killed_program_leaves_doubt_and_nothing_is_paid_for_twice(open_shop, repeats):
    shop = open_shop(latency="0.2", repeats=repeats)
    with shop.start(BEGIN + "work()") as process:
        wait_until_begun(process)
    result = finish(shop)
    check_truth(result, IMEIS, shop.book(), probes=1 if repeats == "charge" else 0)
    assert result["errors"] == 0
    if repeats == "refuse":
        assert result["unconfirmed"] == 0


def test_two_processes_share_the_account(open_shop):
    shop, own = open_shop(latency="0.1", repeats="charge"), make_imeis(100, first=1000)
    with shop.start(FINISH) as process:
        wait_until_begun(process)
        with Client() as client:
            report = client.submit(own, SERVICE, max_chunk=5)
        said, complained = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, complained
    check_truth(json.loads(said.splitlines()[-1]), IMEIS, shop.book())
    assert report.counts.accepted == 100
    assert len(shop.book()) == 150


def test_a_fork_is_refused_a_ledger_that_its_parent_has_opened(open_shop):
    shop = open_shop()
    program = """
import os
from imeiflow import BatchIMEIProcessor, Client, GSMFusionAPIError
from tests.simulator.client import make_imeis

client = Client()
client.submit(make_imeis(2), "1")
child = os.fork()
if not child:
    try:
        BatchIMEIProcessor().process_batch(make_imeis(2, first=50), "1")
    except GSMFusionAPIError as error:
        print(type(error).__name__, flush=True)
    client.close()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
print(client.submit(make_imeis(2, first=90), "1").counts.accepted)
"""
    assert shop.run(program) == "ForkedError\n2\n"
    assert len(shop.book()) == 4
