"""Completion: each shell gets its script, and bash completes commands and options with it."""

from __future__ import annotations

import os
import shlex
import subprocess

import pytest

from tests.cli.typed import COMMAND, make_environment, run_typed


@pytest.fixture
def environment(tmp_path):
    """Put an `imeiflow` on the path, as an installed one is."""
    script = tmp_path / "bin" / "imeiflow"
    script.parent.mkdir()
    script.write_text(f'#!/bin/sh\nexec {shlex.join(COMMAND)} "$@"\n')
    script.chmod(0o755)
    path = f"{script.parent}:{os.environ['PATH']}"
    return make_environment(tmp_path / "home", PATH=path)


def complete(environment, *words: str) -> list[str]:
    """Press Tab behind the words, in a bash that has read the script."""
    script = (
        'eval "$(imeiflow completion bash)"; '
        f"COMP_WORDS=({shlex.join(words)}); COMP_CWORD={len(words) - 1}; "
        '_imeiflow_completion imeiflow; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(
        ["/bin/bash", "--norc", "-c", script], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_bash_completes_commands(environment):
    assert sorted(complete(environment, "imeiflow", "se")) == ["serve", "services", "settle"]


def test_bash_completes_options_and_their_values(environment):
    assert complete(environment, "imeiflow", "settle", "--not-") == ["--not-placed"]
    assert complete(environment, "imeiflow", "orders", "--state", "unc") == ["unconfirmed"]


@pytest.mark.parametrize(("shell", "sign"), [("bash", "complete -o"), ("zsh", "#compdef"), ("fish", "complete --")])
def test_each_shell_gets_its_own_script(environment, shell, sign):
    done = run_typed(("completion", shell), environment)
    assert done.returncode == 0
    assert sign in done.stdout
    assert done.stderr == ""


def test_another_shell_is_wrong_usage(environment):
    assert run_typed(("completion", "cmd"), environment).returncode == 2
