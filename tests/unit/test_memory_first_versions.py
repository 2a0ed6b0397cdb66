"""First versions of vLLM that have a format of weights on a kind of GPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from config_cases import LLAMA, write_config

from simulator.errors import InputError
from simulator.resolve.memory import answer
from simulator.resolve.memory_question import Question


@pytest.mark.parametrize(
    "section", [{"quant_method": "modelopt", "quant_algo": "NVFP4"}, {"quant_method": "modelopt", "quant_algo": "FP8"}]
)
@pytest.mark.parametrize("gpu", ["h100-sxm", "b200"])
@pytest.mark.parametrize("version", ["0.8.5", "0.9.0"])
def test_a_checkpoint_in_nvfp4_is_decoded_before_blackwell_from_0_9_on(
    tmp_path: Path, section: dict[str, Any], gpu: str, version: str
) -> None:
    asked = Question(str(write_config(tmp_path, LLAMA | {"quantization_config": section})), gpu, version=version)
    if section["quant_algo"] == "NVFP4" and gpu == "h100-sxm" and version == "0.8.5":
        with pytest.raises(InputError, match="vLLM has nvfp4 weights before Blackwell"):
            answer(asked)
    else:
        assert answer(asked).plan.terms.weight_bytes > 0
