"""Ask vLLM again which modules it builds of the configs in `tests/data/vllm-shapes.json`.

    python -m bench.shapes --vllm-python .venv-vllm/bin/python    # every model; exit code 1 where one differs
    python -m bench.shapes --vllm-python … qwen3 falcon_h1        # some
    python -m bench.shapes --vllm-python … --write                # the file anew, configs as they stand

A config enters the file as a row with its `config` alone.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from calibrate.vllm_process import EngineError, VllmProcess, find_interpreter
from simulator.results.files import write_text

DATA = Path(__file__).resolve().parents[1] / "tests" / "data" / "vllm-shapes.json"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.shapes", description=__doc__.partition("\n")[0])
    parser.add_argument("models", nargs="*", help="names of rows; all of them where none is given")
    parser.add_argument("--vllm-python", type=Path, help="interpreter that has vLLM")
    parser.add_argument("--write", action="store_true", help="write the answers into the file")
    asked = parser.parse_args()
    data = json.loads(DATA.read_text(encoding="utf-8"))
    rows: dict[str, Any] = data["models"]
    names = asked.models or list(rows)
    if asked.write and asked.models:
        parser.error("--write takes all models, so that all are of one version")
    if unknown := sorted(set(names) - rows.keys()):
        parser.error(f"no row of {DATA.name} is named {', '.join(unknown)}")
    wrong = 0
    with VllmProcess(find_interpreter(asked.vllm_python), DATA.parents[2] / "build" / "vllm-shapes.log") as process:
        version = str(process.call("versions")["vllm"]).partition("+")[0]
        for name in names:
            config = rows[name]["config"]
            try:
                found = {"config": config, **process.call("modules", config=config)}
            except EngineError as error:
                print(f"{name}: {str(error)[:300]}", flush=True)
                wrong += 1
                continue
            same = found == rows[name]
            wrong += not same and not asked.write
            print(f"{name}: {'the same' if same else _told(found)}", flush=True)
            rows[name] = found
    print(f"vLLM {version}: {len(names)} models, {wrong} that differ or cannot be built")
    if asked.write and not wrong:
        data["source"] = re.sub(r"^vLLM [\d.]+", f"vLLM {version}", data["source"])
        data["url"] = f"https://github.com/vllm-project/vllm/releases/tag/v{version}"
        data["date"] = datetime.now(UTC).date().isoformat()
        write_text(DATA, written(data))
    return int(wrong > 0)


def _told(found: dict[str, Any]) -> str:
    return json.dumps({key: value for key, value in found.items() if key != "config"})


def written(data: dict[str, Any]) -> str:
    """The file's text: a line for each model."""
    head = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in data.items() if key != "models"]
    rows = [
        f"{json.dumps(name)}: {json.dumps(row, separators=(',', ':'))}" for name, row in sorted(data["models"].items())
    ]
    return "{\n" + ",\n".join([*head, '"models": {\n' + ",\n".join(rows)]) + "\n}}\n"


if __name__ == "__main__":
    sys.exit(main())
