"""The frame: the table of commands, the start, and what becomes of an error that reaches the top."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import click
import pytest

from imeiflow.cli.program import SECTIONS, program, run
from imeiflow.errors import ConfigurationError, UsageError

ENTRIES = {name: entry for section in SECTIONS.values() for name, entry in section.items()}


def imeiflow(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "imeiflow.cli", *arguments],
        capture_output=True,
        text=True,
        encoding=environ.get("PYTHONIOENCODING", "utf-8"),
        timeout=60,
        check=False,
        env={**os.environ, **environ},
    )


def group_with(action) -> click.Group:
    group = click.Group("imeiflow")
    group.add_command(click.Command("act", callback=action))
    return group


def raising(error: BaseException):
    def act() -> None:
        raise error

    return act


def test_help_lists_every_command_that_is_not_hidden():
    shown = imeiflow("--help")
    assert shown.returncode == 0
    listed = {line.split()[0] for line in shown.stdout.splitlines() if line.startswith("  ") and line.strip()}
    assert {name for name, entry in ENTRIES.items() if entry.says} <= listed
    assert "run-lane" not in shown.stdout


def test_help_is_shown_when_nothing_is_typed():
    assert imeiflow().stdout == imeiflow("--help").stdout


def test_help_imports_no_command_and_nothing_heavy():
    code = (
        "import sys; from imeiflow.cli.program import program, run; run(program, ['--help']);"
        "print([m for m in ('sqlalchemy', 'aiohttp', 'rich', 'imeiflow.cli.submit') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.splitlines()[-1] == "[]"


def test_help_is_there_within_three_tenths_of_a_second():
    def measure() -> float:
        """Measure the processor's time, which others on the machine do not change."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        imeiflow("--help")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime

    assert min(measure() for _ in range(5)) < 0.3


@pytest.mark.parametrize("name", sorted(ENTRIES))
def test_every_command_that_is_listed_is_there_and_helps_with_examples(name):
    for flag in ("-h", "--help"):
        context = click.Context(program, info_name="imeiflow", **program.context_settings)
        command = program.get_command(context, name)
        assert command is not None
        with pytest.raises(click.exceptions.Exit), command.make_context(name, [flag], parent=context):
            pass
    text = command.get_help(click.Context(command, parent=context, info_name=name))
    assert "Examples:" in text
    assert f"imeiflow {name}" in text


def test_a_mistyped_command_is_wrong_usage_and_says_what_was_probably_meant():
    done = imeiflow("submitt")
    assert done.returncode == 2
    assert "Did you mean `submit`?" in done.stderr
    assert done.stdout == ""


def test_a_mistyped_option_says_where_help_is():
    done = imeiflow("jobs", "--jsn")
    assert done.returncode == 2
    assert "--json" in done.stderr
    assert "`imeiflow jobs --help`" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("type_", "value", "says"),
    [
        (click.IntRange(min=1), "0", "0 is not a number of 1 or more."),
        (click.IntRange(1, 1000), "x", "'x' is not a whole number."),
        (click.IntRange(1, 1000), "5000", "5000 is not a number from 1 to 1000."),
        (click.FloatRange(0, 600), "-1", "-1.0 is not a number from 0 to 600."),
        (click.FloatRange(0, 600), "x", "'x' is not a number."),
    ],
)
def test_a_number_that_is_not_accepted_is_said_with_what_is_in_words(type_, value, says, capsys):
    group = click.Group(commands=[click.Command("act", params=[click.Option(["--number"], type=type_)])])
    assert run(group, ["act", "--number", value]) == 2
    assert f"'--number': {says}" in capsys.readouterr().err


def test_version_is_told():
    assert imeiflow("--version").stdout.startswith("imeiflow 0.")


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ConfigurationError(setting="rate", problem="no", remedy="Write 60/min."), 1),
        (UsageError(problem="no", remedy="Write 60/min."), 2),
    ],
)
def test_an_error_is_told_with_its_remedy_and_ends_with_its_status(error, status, capsys):
    assert run(group_with(raising(error)), ["act"]) == status
    told = capsys.readouterr()
    assert str(error) in told.err
    assert "Write 60/min." in told.err
    assert "Traceback" not in told.err
    assert told.out == ""


@pytest.mark.parametrize("error", [KeyboardInterrupt(), click.Abort()])
def test_an_interruption_has_its_own_status_and_no_trace(error, capsys):
    assert run(group_with(raising(error)), ["act"]) == 130
    assert capsys.readouterr().err == "Interrupted.\n"


def test_what_a_command_gives_is_the_status():
    assert run(group_with(lambda: 4), ["act"]) == 4
    assert run(group_with(lambda: None), ["act"]) == 0


def test_an_unexpected_error_is_one_line_and_its_trace_is_kept_private_without_the_key(
    tmp_path: Path, monkeypatch, capsys
):
    monkeypatch.setenv("IMEIFLOW_HOME", str(tmp_path))
    monkeypatch.setenv("GSM_FUSION_API_KEY", "secret-key-1234")
    monkeypatch.setenv("GSM_FUSION_USERNAME", "shop")
    monkeypatch.setenv("GSM_FUSION_BASE_URL", "https://example.com")
    assert run(group_with(raising(RuntimeError("apiKey=secret-key-1234\nis wrong"))), ["act"]) == 1
    told = capsys.readouterr().err
    (trace,) = (tmp_path / "log").glob("crash-*.log")
    assert len(told.splitlines()) == 1
    assert str(trace) in told
    kept = trace.read_text(encoding="utf-8")
    assert "RuntimeError" in kept
    assert "secret-key-1234" not in kept + told
    assert trace.stat().st_mode & 0o777 == 0o600


def test_a_reader_that_goes_away_is_no_error_to_be_told(tmp_path: Path):
    code = (
        "import sys, click\nfrom imeiflow.cli.program import run\n"
        "group = click.Group('imeiflow')\n"
        "@group.command()\ndef act():\n    for number in range(100_000):\n        click.echo('row')\n"
        "sys.exit(run(group, ['act']))"
    )
    command = f'{sys.executable} -c "$CODE" | head -1; echo ${{PIPESTATUS[0]}}'
    done = subprocess.run(
        ["/bin/bash", "-c", command],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env={**os.environ, "CODE": code},
    )
    assert done.stdout == "row\n141\n"
    assert done.stderr == ""


def test_a_full_disk_behind_standard_output_is_told_in_a_line(tmp_path: Path):
    command = f"{sys.executable} -m imeiflow.cli --help > /dev/full"
    done = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert done.stderr == "imeiflow: what it has to say cannot be written: No space left on device\n"


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_are_no_error(tmp_path: Path, closed):
    command = f"{sys.executable} -m imeiflow.cli jobs --json {closed}"
    environment = {**os.environ, "IMEIFLOW_HOME": str(tmp_path)}
    done = subprocess.run(
        ["/bin/sh", "-c", command], capture_output=True, text=True, check=False, timeout=60, env=environment
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == ([] if ">&- 2" in closed or closed == ">&-" else ["[", "]"])
    assert (tmp_path / "ledger.sqlite").read_bytes().startswith(b"SQLite format 3")


def test_a_terminal_that_cannot_write_a_character_gets_another(tmp_path: Path):
    path = tmp_path / "list.txt"
    path.write_text("350000000000006\n35000000000001\n", encoding="utf-8")
    done = imeiflow(
        *("submit", str(path), "--service", "1", "--dry-run"),
        IMEIFLOW_HOME=str(tmp_path),
        GSM_FUSION_BASE_URL="http://127.0.0.1:9",
        GSM_FUSION_USERNAME="shop",
        GSM_FUSION_API_KEY="secret-key-1234",
        PYTHONIOENCODING="latin-1",
    )
    assert done.returncode == 0, done.stderr
    assert "35000000000001 ? 350000000000014" in done.stdout


@pytest.mark.parametrize("sequence", ["\x1b[2J", "\x9b2J", "\x1b]0;title\x07", "\u202e", "\r"])
def test_what_an_error_quotes_of_files_and_providers_cannot_steer_the_terminal(sequence, capsys):
    assert run(group_with(raising(UsageError(problem=f"phones{sequence}.csv"))), ["act"]) == 2
    told = capsys.readouterr().err
    assert told.rstrip("\n").isprintable()
    assert told.startswith("imeiflow: phones")


def test_a_trace_can_be_written_whatever_its_error_quotes(tmp_path):
    script = "import sys; from imeiflow.cli.crash import report_crash; print(report_crash(ValueError(chr(0xDCFF))))"
    environment = {**os.environ, "IMEIFLOW_HOME": str(tmp_path), "PYTHONIOENCODING": "utf-8:replace"}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert "its trace is in" in done.stdout
    assert "udcff" in next((tmp_path / "log").glob("crash-*")).read_text(encoding="utf-8")
