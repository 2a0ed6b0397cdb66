"""An engine is planned once for what a search asks again and again, and anew where a file may have changed."""

from __future__ import annotations

from pathlib import Path

from simulator.resolve import engines
from simulator.resolve.engines import plan_engine
from simulator.schema.engine import EngineSettings
from simulator.schema.hardware import HardwareSettings

MODEL = "llama-3.1-8b"


def test_the_same_engine_is_planned_once_however_it_is_asked_for() -> None:
    first = plan_engine(MODEL, "h100-sxm", 1, 1, EngineSettings(), Path())
    assert plan_engine(MODEL, "h100-sxm", 1, 1, EngineSettings(), folder=Path(), role="both") is first
    fewer = plan_engine(MODEL, "h100-sxm", 1, 1, EngineSettings(max_num_seqs=8), Path())
    assert fewer.config.max_num_seqs == 8 < first.config.max_num_seqs
    smaller = plan_engine(MODEL, "h100-sxm", 1, 1, EngineSettings(), Path(), own=HardwareSettings(memory_gib=70.0))
    assert smaller.memory.num_blocks < first.memory.num_blocks


def test_what_reads_a_file_is_planned_anew(tmp_path: Path) -> None:
    (tmp_path / "card.yaml").write_text("memory_gib: 75\n")
    first = plan_engine(MODEL, "h100-sxm", 1, 1, EngineSettings(), tmp_path, own="card.yaml")
    (tmp_path / "card.yaml").write_text("memory_gib: 70\n")
    changed = plan_engine(MODEL, "h100-sxm", 1, 1, EngineSettings(), tmp_path, own="card.yaml")
    assert changed.memory.num_blocks < first.memory.num_blocks


def test_a_bounded_number_of_them_is_kept() -> None:
    first = plan_engine(MODEL, "h100-sxm", 1, 1, EngineSettings(), Path())
    for seqs in range(1, engines._DIFFERENT + 1):
        plan_engine(MODEL, "h100-sxm", 1, 1, EngineSettings(max_num_seqs=seqs), Path())
    again = plan_engine(MODEL, "h100-sxm", 1, 1, EngineSettings(), Path())
    assert again is not first
    assert again.config == first.config
