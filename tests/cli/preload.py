"""What a warm process imports before it forks commands: all that the commands import when they are called."""

from __future__ import annotations

import pkgutil
from importlib import import_module

import imeiflow.cli
from tests.warmth import warm_up

for found in pkgutil.iter_modules(imeiflow.cli.__path__, "imeiflow.cli."):
    if found.name != "imeiflow.cli.__main__":
        import_module(found.name)

warm_up()
