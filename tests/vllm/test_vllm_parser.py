"""vLLM's own argument parser takes the options that the page of keys names."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from calibrate.vllm_process import find_interpreter

HERE = Path(__file__).parent
WRITTEN = json.loads((HERE.parent / "data/vllm-options.json").read_text())


def test_vllm_s_parser_takes_what_is_written(tmp_path: Path) -> None:
    file = tmp_path / "options.json"
    subprocess.run([find_interpreter(None), HERE / "options_of_vllm.py", file], check=True)
    taken = json.loads(file.read_text())
    if taken["version"] != WRITTEN["version"]:
        pytest.skip(f"what is written is of vLLM {WRITTEN['version']}, and this one is {taken['version']}")
    assert taken == WRITTEN
