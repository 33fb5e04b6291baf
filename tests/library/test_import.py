"""What `import imeiflow` costs and gives."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

import imeiflow


def run(program: str) -> str:
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout


def test_importing_the_package_imports_nothing_else_of_it_and_no_library():
    program = (
        "import sys; before = set(sys.modules); import imeiflow; "
        "new = {name for name in set(sys.modules) - before if name.split('.')[0] not in sys.stdlib_module_names}; "
        "print(sorted(new), 'asyncio' in sys.modules)"
    )
    assert run(program) == "['imeiflow'] False\n"


def test_every_public_name_is_found_where_the_table_says():
    assert sorted(imeiflow._PLACES) == sorted(imeiflow.__all__)
    for name, place in imeiflow._PLACES.items():
        module = importlib.import_module(f"imeiflow.{place}")
        assert getattr(imeiflow, name) is getattr(module, name)
        assert name in dir(imeiflow)


def test_every_public_name_says_what_it_is():
    for name in imeiflow.__all__:
        assert getattr(imeiflow, name).__doc__, name


def test_a_name_that_is_none_is_an_attribute_error():
    with pytest.raises(AttributeError, match="BatchImeiProcessor"):
        _ = imeiflow.BatchImeiProcessor


def test_recommended_settings_need_no_client():
    program = (
        "import sys; from imeiflow import GSMFusionAPIError, ImeiflowError; print(GSMFusionAPIError is ImeiflowError)"
    )
    assert run(program) == "True\n"
