"""Skips this folder where no interpreter with vLLM is named."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from calibrate.vllm_process import PYTHON_VARIABLE

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if PYTHON_VARIABLE in os.environ:
        return
    mark = pytest.mark.skip(reason=f"needs real vLLM: `make test-vllm` ({PYTHON_VARIABLE} is not set)")
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(mark)
