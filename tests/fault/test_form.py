"""Replies in every form, and connections in every manner, that a server of this family has: nothing of it is doubt."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from imeiflow.domain.order import JobState
from imeiflow.simulator.behaviour import Declaration, ReplyLayout, StatusStyle
from tests.rig import open_rig

FORMS: list[dict[str, Any]] = [
    {"reply_layout": layout, "without_result": bare, "shuffled": True, "status_style": style}
    for layout in ReplyLayout
    for bare in (False, True)
    for style in StatusStyle
] + [
    {"declaration": Declaration.PHPXML},
    {"declaration": Declaration.NONE, "error_in_result": True},
    {"php_warning": True, "bare_ampersand": True},
    {"latin_1": True, "cdata": True},
    {"gzip": True, "chunked": True},
    {"dribble": 0.001, "dribble_bytes": 2000},
]


@pytest.mark.parametrize("chunk", [1, 100])
@pytest.mark.parametrize("form", FORMS, ids=lambda form: "-".join(f"{key}={value}" for key, value in form.items()))
async def test_a_reply_in_any_known_form_is_read(tmp_path: Path, form: dict[str, Any], chunk: int):
    async with open_rig(tmp_path, form) as rig:
        job = rig.add_job(40 * (1 if chunk == 1 else 5), chunk_size=chunk)
        verdict = await rig.run(job)
        assert rig.state(job) is JobState.FINISHED
        assert verdict.count("accepted") == len(verdict.lines)


@pytest.mark.parametrize("chunk", [1, 100])
@pytest.mark.parametrize("manner", [{"close_every": 3}, {"idle_close": 0.02, "latency": "0-0.04"}])
async def test_connections_that_close_without_a_word_lose_nothing(tmp_path: Path, manner: dict[str, Any], chunk: int):
    async with open_rig(tmp_path, manner) as rig:
        job = rig.add_job(150 if chunk == 1 else 900, chunk_size=chunk)
        verdict = await rig.run_to_the_end(job)
        assert verdict.count("accepted", "duplicate") == len(verdict.lines)
        assert rig.repeats == 0
