"""Runs of one name are told apart by their folders, and where these are alike by numbers."""

from __future__ import annotations

from pathlib import Path

import pytest

from simulator.results.shelf import named_folders


@pytest.mark.parametrize(
    ("folders", "names"),
    [
        (["a/run", "b/other"], ["run", "other"]),
        (["a/run", "b/run"], ["run", "run (b)"]),
        (["a/run", "b/run", "c/b/run", "d/b/run"], ["run", "run (b)", "run (2)", "run (3)"]),
        (["a/run", "b/run (c)", "c/run"], ["run", "run (c)", "run (2)"]),
    ],
)
def test_the_newest_run_has_the_plain_name(folders: list[str], names: list[str]) -> None:
    places = list(map(Path, folders))
    assert named_folders(places) == dict(zip(names, places, strict=True))
