"""Single values changed in the text of a scenario: what is around them stays, character by character."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.edit import assign
from simulator.scenario.document import parse_document

TEXT = """\
# a comment
name: small  # its name
run: {horizon_s: 300, seed: 5}
topologies:
  own:
    pools:
      - name: base  # first
        replicas: 1
      - {name: burst}
workload:
  empty:
"""


def read(text: str, steps: tuple[str | int, ...]) -> Any:
    node = parse_document(text, "x").data
    for step in steps:
        node = node[step]
    return node


WRITTEN = [
    ("name",),
    ("run", "seed"),
    ("topologies", "own", "pools", 0, "replicas"),
    ("topologies", "own", "pools", 1, "name"),
]
ABSENT = [
    ("model",),
    ("run", "replications"),
    ("topologies", "own", "pools", 0, "tensor_parallel_size"),
    ("topologies", "own", "pools", 1, "autoscaler", "max"),
]
VALUES = st.one_of(
    st.integers(0, 10**9), st.floats(0.001, 1e6), st.text("ab :#{}[],'\"\\yno10.-", max_size=12), st.booleans()
)


@given(steps=st.sampled_from(WRITTEN + ABSENT), value=VALUES)
def test_the_value_is_read_back_and_nothing_else_changes(steps: tuple[str | int, ...], value: Any) -> None:
    text = assign(TEXT, steps, value)
    assert read(text, steps) == value
    restored = parse_document(text, "x")
    before = parse_document(TEXT, "x")
    path = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps).removeprefix(".")
    kept = {place for place in before.origins if place != path}
    assert kept <= set(restored.origins)
    for comment in ("# a comment\n", "# its name", "# first"):
        assert comment in text


@pytest.mark.parametrize(
    "steps", [("topologies", "own", "pools", 7, "tensor_parallel_size"), ("topologies", "own"), ("workload", "empty")]
)
def test_a_place_that_is_not_there_is_refused(steps: tuple[str | int, ...]) -> None:
    with pytest.raises(ValueError, match=r"place|section"):
        assign(TEXT, steps, 1)


def test_replacing_a_value_changes_its_characters_alone() -> None:
    assert assign(TEXT, ("run", "seed"), 77) == TEXT.replace("seed: 5", "seed: 77")


def test_a_name_as_long_as_memory_is_refused(tmp_path: Path) -> None:
    from simulator.errors import InputError

    deep = "".join(f"{'k' * 900}{k}: {{" for k in range(4)) + "a: 1" + "}" * 4
    with pytest.raises(InputError, match="too long a name"):
        parse_document(deep, "x")
