"""What vLLM's own argument parser takes, as JSON; run by vLLM's interpreter: `python options_of_vllm.py FILE`."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path

import vllm
from vllm.config import KVTransferConfig, SpeculativeConfig
from vllm.config.compilation import PassConfig
from vllm.config.parallel import EPLBConfig
from vllm.engine.arg_utils import EngineArgs
from vllm.utils.argparse_utils import FlexibleArgumentParser

PARTS = {
    "--speculative-config": SpeculativeConfig,
    "--kv-transfer-config": KVTransferConfig,
    "--eplb-config": EPLBConfig,
    "--compilation-config pass_config": PassConfig,
}


def taken() -> dict[str, object]:
    parser = EngineArgs.add_cli_args(FlexibleArgumentParser())
    options = sorted(name for action in parser._actions for name in action.option_strings if name.startswith("--"))
    parts = {name: sorted(field.name for field in dataclasses.fields(part)) for name, part in PARTS.items()}
    return {"version": vllm.__version__.partition("+")[0], "options": options, "parts": parts}


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(json.dumps(taken(), indent=1) + "\n", encoding="utf-8")
