"""An engine is planned once for all sizes of a search, unless it is made of files, which may change."""

from __future__ import annotations

import json
from pathlib import Path

from simulator.catalog.models import models
from simulator.resolve.engines import PlannedEngine, plan_engine
from simulator.schema.engine import EngineSettings, SpeculativeConfig

MODEL = "llama-3.1-8b"


def planned(model: str, folder: Path, settings: EngineSettings | None = None, tp: int = 1) -> PlannedEngine:
    return plan_engine(model, "h100-sxm", tp, 1, settings or EngineSettings(max_model_len=8192), folder)


def test_the_same_question_is_answered_once_and_another_anew() -> None:
    once = planned(MODEL, Path())
    assert planned(MODEL, Path()) is once
    assert planned(MODEL, Path(), tp=2) is not once
    fewer = planned(MODEL, Path(), EngineSettings(max_model_len=8192, max_num_seqs=7))
    assert (fewer.config.max_num_seqs, once.config.max_num_seqs) == (7, 1024)


def test_a_config_that_changed_is_read_again(tmp_path: Path) -> None:
    config = dict(models()[MODEL].config)
    for layers in (32, 16):
        (tmp_path / "config.json").write_text(json.dumps(config | {"num_hidden_layers": layers}))
        assert planned("config.json", tmp_path).memory.block_bytes == layers * 16 * 2 * 8 * 128 * 2
    (tmp_path / "drafts.json").write_text(json.dumps(config | {"num_hidden_layers": 2}))
    drafting = SpeculativeConfig(method="draft_model", num_speculative_tokens=3, model="drafts.json", acceptance=0.5)
    slow = planned(MODEL, tmp_path, EngineSettings(max_model_len=8192, speculative_config=drafting))
    (tmp_path / "drafts.json").write_text(json.dumps(config | {"num_hidden_layers": 1}))
    fast = planned(MODEL, tmp_path, EngineSettings(max_model_len=8192, speculative_config=drafting))
    assert fast.memory.num_blocks > slow.memory.num_blocks
