"""The image and the unit name what is there: files of this repository, options of the command, paths of the server."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from imeiflow.cli.program import program
from imeiflow.providers.contract import Timeouts

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
UNIT = (ROOT / "deploy" / "imeiflow.service").read_text(encoding="utf-8")


def read_instructions(name: str) -> list[str]:
    """Give the arguments of an instruction, lines that go on put together."""
    joined = re.sub(r"\\\n\s*", " ", DOCKERFILE)
    return [line.partition(" ")[2] for line in joined.splitlines() if line.startswith(f"{name} ")]


def check_command(words: list[str]) -> None:
    """See that a command of ours would be understood."""
    assert words[0].rpartition("/")[2] == "imeiflow"
    context = click.Context(program, info_name="imeiflow")
    command = program.get_command(context, words[1])
    assert command is not None
    known = {option for one in command.params for option in one.opts}
    assert {word.partition("=")[0] for word in words if word.startswith("--")} <= known


def test_what_is_copied_is_there_and_what_is_built_needs_no_more():
    copied = [shlex.split(one)[:-1] for one in read_instructions("COPY") if "--from=" not in one]
    sources = {source for one in copied for source in one}
    assert sources == {"requirements/lock.txt", "pyproject.toml", "README.md", "LICENSE", "src"}
    assert all((ROOT / source).exists() for source in sources)
    assert 'readme = "README.md"' in (ROOT / "pyproject.toml").read_text()


@pytest.mark.parametrize("line", [one for one in DOCKERFILE.splitlines() if "imeiflow user " in one])
def test_what_its_head_types_is_understood(line):
    words = shlex.split(line[line.index("imeiflow user ") :].replace(" NAME", " mia"))
    check_command([word for word in words if word != "once"])


def test_its_entry_point_is_understood_and_runs_as_nobody_of_importance():
    entry = [word.strip('",[] ') for word in read_instructions("ENTRYPOINT")[0].split('", "')]
    check_command(entry)
    port = entry[entry.index("--port") + 1]
    assert read_instructions("EXPOSE") == [port]
    assert read_instructions("USER") == ["10001:10001"]
    assert read_instructions("STOPSIGNAL") == ["SIGTERM"]
    assert f"http://127.0.0.1:{port}/healthz" in read_instructions("HEALTHCHECK")[0]
    assert "--require-hashes" in DOCKERFILE


def test_its_health_check_gets_through_the_gate(site):
    port = site.base_url.rpartition(":")[2]
    code = re.search(r'CMD \["python", "-c", "([^"]+)"\]', DOCKERFILE)
    assert code is not None
    exec(compile(code[1].replace(":8080", f":{port}"), "health check", "exec"), {})  # noqa: S102


def test_the_unit_s_command_is_understood():
    joined = re.sub(r"\\\n\s*", " ", UNIT)
    command = re.search(r"^ExecStart=(.+)$", joined, re.MULTILINE)
    assert command is not None
    check_command(shlex.split(command[1]))


def test_a_stop_is_given_as_long_as_a_call_can_take():
    longest = Timeouts().total_s
    unit = re.search(r"^TimeoutStopSec=(\d+)$", UNIT, re.MULTILINE)
    assert unit is not None
    how_to = (ROOT / "docs" / "how-to" / "run-a-server.md").read_text(encoding="utf-8")
    given = [unit[1], *re.findall(r"TimeoutStopSec=(\d+)", how_to)]
    given += re.findall(r"--stop-timeout (\d+)", DOCKERFILE) + re.findall(r"--stop-timeout (\d+)", how_to)
    assert len(given) == 5
    assert {int(one) for one in given} == {longest + 30}
    assert f"`total_timeout_s` for a call, {longest:.0f} s" in how_to
