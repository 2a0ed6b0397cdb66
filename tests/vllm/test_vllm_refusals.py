"""vLLM, asked again for each engine of the list, answers as it is written there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from calibrate.vllm_process import VllmProcess, find_interpreter

LIST = json.loads((Path(__file__).parents[1] / "data/vllm-refusals.json").read_text())


def test_vllm_refuses_and_changes_what_is_written(tmp_path: Path) -> None:
    with VllmProcess(find_interpreter(None), tmp_path / "vllm.log") as process:
        version = str(process.call("versions")["vllm"]).partition("+")[0]
        if version not in LIST["rows"][0]:
            pytest.skip(f"the list has no answers of vLLM {version}")
        for row in LIST["rows"]:
            names = {row["arguments"]["model"], row["arguments"].get("speculative_config", {}).get("model")} - {None}
            answer = process.call(
                "configure",
                models={name: LIST["models"][name] for name in names & set(LIST["models"])},
                arguments=row["arguments"],
                use_v2_model_runner=row["asked"].get("use_v2_model_runner", True),
            )
            written = row[version]
            assert {name: answer.get(name) for name in written} == written, row["arguments"]
            assert ("refused" in answer) == ("refused" in written)
