"""Words of configs and versions that mean nothing here are refused at their place, not read as something else."""

from __future__ import annotations

from pathlib import Path

import pytest
from config_cases import LLAMA, write_config

from simulator.catalog.overheads import version_key
from simulator.errors import InputError
from simulator.resolve.memory import shape_of


@pytest.mark.parametrize("key", ["attention_type", "attn_type"])
def test_a_kind_of_attention_that_is_not_understood_is_refused_by_its_key(tmp_path: Path, key: str) -> None:
    plain = shape_of(str(write_config(tmp_path, LLAMA)), tmp_path).caches
    with pytest.raises(InputError) as caught:
        shape_of(str(write_config(tmp_path, LLAMA | {key: "hyena"})), tmp_path)
    assert [problem.path for problem in caught.value.problems] == [key]
    assert shape_of(str(write_config(tmp_path, LLAMA | {key: "full_attention"})), tmp_path).caches == plain


@pytest.mark.parametrize("words", ["-1", "0.31.x", "0..1", "1e3", "0.11,0", "latest", "0.11 0", ".5", "0.20.0 cu130"])
def test_what_is_no_version_is_refused(words: str) -> None:
    with pytest.raises(InputError, match="must be a number"):
        version_key(words)


@pytest.mark.parametrize(
    ("words", "numbers"),
    [
        ("0.11", (0, 11)),
        ("v0.11.0", (0, 11, 0)),
        ("0.10.1.1", (0, 10, 1)),
        ("0.11rc1", (0, 11)),
        ("0.11.0rc2.dev98+g393de22d2", (0, 11, 0)),
        ("0.1.dev20073+g8e685d198", (0, 1)),
        ("0.13.0+faa43dbf.nv26.01", (0, 13, 0)),
        ("v0.20.0-cu130-ubuntu2404", (0, 20, 0)),
    ],
)
def test_a_version_is_its_release_without_stage_and_build(words: str, numbers: tuple[int, ...]) -> None:
    assert version_key(words) == numbers
