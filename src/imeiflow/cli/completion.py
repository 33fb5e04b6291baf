"""`imeiflow completion`: the script that lets a shell complete commands and options."""

from __future__ import annotations

import click
from click.shell_completion import ShellComplete, get_completion_class

from imeiflow.cli.option import command
from imeiflow.cli.program import program

SHELLS = ("bash", "zsh", "fish")
_VARIABLE = "_IMEIFLOW_COMPLETE"


@command(
    examples="""
    eval "$(imeiflow completion bash)"                   for this shell only
    imeiflow completion bash >> ~/.bash_completion       bash 4.4 or newer
    imeiflow completion zsh > "${fpath[1]}/_imeiflow"
    imeiflow completion fish > ~/.config/fish/completions/imeiflow.fish
    """
)
@click.argument("shell", type=click.Choice(SHELLS))
def completion(shell: str) -> None:
    """Print the script that lets your shell complete commands and options with the Tab key."""
    found = get_completion_class(shell)
    if found is None:
        raise click.UsageError(f"click knows no completion for {shell}")
    # Not its own `source`: for bash that starts one, to look at its version.
    click.echo(ShellComplete.source(found(program, {}, "imeiflow", _VARIABLE)))
