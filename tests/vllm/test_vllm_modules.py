"""vLLM, asked again, builds of a config the modules that are written down."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from calibrate.vllm_process import VllmProcess, find_interpreter

DATA = json.loads((Path(__file__).parents[1] / "data/vllm-shapes.json").read_text())


def test_vllm_builds_what_is_written(tmp_path: Path) -> None:
    with VllmProcess(find_interpreter(None), tmp_path / "vllm.log") as process:
        version = str(process.call("versions")["vllm"]).partition("+")[0]
        if version not in DATA["source"]:
            pytest.skip(f"the file has no answers of vLLM {version}")
        for name in ("qwen3", "falcon_h1", "deepseek_v32"):
            row = DATA["models"][name]
            assert {"config": row["config"], **process.call("modules", config=row["config"])} == row, name
