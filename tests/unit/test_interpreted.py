"""Kernels as plain Python do what they do compiled: rows have fields, whole numbers 64 bits, overflows wrap."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray
from parts import few

from simulator.interpreted import interpreted

MODES = Path(__file__).resolve().parents[1] / "data/vllm-schedule-modes/0.32.0"
ROW = np.dtype([("few", np.int32), ("share", np.float64), ("hash", np.int64)], align=True)


class Table(NamedTuple):
    rows: NDArray[np.void]
    counts: NDArray[np.int64]


@interpreted
def changed(table: Table, factor: float) -> tuple[int, int, float]:
    row = table.rows[1]
    product = row.few * row.few
    row.few += 1
    row.share = factor / row.share
    table.counts[0] += table.rows[0].few
    return product, row.hash * row.hash + row.hash, row.share


def test_rows_are_written_in_place_and_wide() -> None:
    table = Table(np.zeros(2, ROW), np.zeros(1, np.int64))
    table.rows["few"] = [7, 100_000]
    table.rows["hash"] = 2**62 + 1
    with np.errstate(all="raise"):
        product, wrapped, share = changed(table, 1.0)
    assert product == 10**10
    assert wrapped == (2**62 + 1) * (2**62 + 2) % 2**64 - 2**64
    assert share == np.inf
    assert table.rows["few"].tolist() == [7, 100_001]
    assert table.rows["share"].tolist() == [0.0, np.inf]
    assert table.counts.tolist() == [7]


@pytest.mark.parametrize("name", few(["a_spec_draft_model", "c_gptoss_async", "h_reset_cache"], "a_spec_draft_model"))
def test_recordings_are_replayed_without_a_compiler(name: str) -> None:
    command = [sys.executable, "-m", "simulator.cli", "verify", "schedule", f"{MODES / name}.json.gz"]
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([*command, "--engine", "kernel"], env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("steps identical\n")
