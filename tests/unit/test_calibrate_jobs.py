"""Job files: each obeys the schema of what runs it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator, Draft202012Validator
from ruamel.yaml import YAML

from calibrate.cli import app
from calibrate.jobs.spec import JobSpec, scheduler_gpu_name
from calibrate.jobs.targets import docker, kubernetes, skypilot, slurm
from simulator.catalog.gpus import gpu
from simulator.errors import InputError

SCHEMAS = Path(__file__).resolve().parents[1] / "data" / "job_schemas"


def job(model: str = "meta-llama/Llama-3.1-8B", **changes: Any) -> JobSpec:
    fields: dict[str, Any] = {
        "gpu": "h100-sxm",
        "gpu_name": "H100",
        "gpus": 2,
        "model": model,
        "image": "vllm/vllm-openai:v0.32.0",
        "install": "servecast",
        "out": "profiles",
        "retries": 3,
        "limit_h": 1.5,
        "engine_args": {"tensor_parallel_size": "2", "hf_overrides": '{"note": "it\'s $HOME"}'},
    }
    return JobSpec(**{**fields, **changes})


def schema(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((SCHEMAS / f"{name}.json").read_text())
    return found


def test_kubernetes_jobs_obey_the_strict_schema() -> None:
    (file, text), *_ = kubernetes([job(), job("Qwen/Qwen2.5-7B")]).items()
    manifest = YAML(typ="safe").load(text)
    Draft202012Validator(schema("kubernetes-job")).validate(manifest)
    assert file == "h100-sxm-x2-llama-3-1-8b.yaml"
    assert manifest["spec"]["activeDeadlineSeconds"] == 5400
    assert manifest["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"] == {"nvidia.com/gpu": 2}


def test_one_compose_file_holds_all_jobs() -> None:
    files = docker([job(), job("Qwen/Qwen2.5-7B")])
    compose = YAML(typ="safe").load(files["compose.yaml"])
    Draft7Validator(schema("compose-spec")).validate(compose)
    assert list(compose["services"]) == ["h100-sxm-x2-llama-3-1-8b", "h100-sxm-x2-qwen2-5-7b"]
    command = compose["services"]["h100-sxm-x2-qwen2-5-7b"]["command"][0]
    assert "$$HOME" in command


def test_skypilot_tasks_obey_the_schema() -> None:
    text = skypilot([job(out="s3://profiles")])["h100-sxm-x2-llama-3-1-8b.sky.yaml"]
    task = YAML(typ="safe").load(text)
    Draft202012Validator(schema("skypilot-task")).validate(task)
    assert task["resources"]["accelerators"] == "H100:2"


def test_the_slurm_script_is_bash_and_hands_arguments_on_unchanged(tmp_path: Path) -> None:
    text = slurm([job(out=str(tmp_path / "with space"))])["h100-sxm-x2-llama-3-1-8b.sbatch"]
    assert "#SBATCH --gpus-per-node=H100:2" in text
    assert "#SBATCH --time=90" in text
    srun = tmp_path / "srun"
    srun.write_text("#!/bin/bash\nprintf '%s' \"${@: -1}\" > script\n")
    srun.chmod(0o755)
    subprocess.run(["bash", "-c", text], cwd=tmp_path, env={"PATH": f"{tmp_path}:/usr/bin:/bin"}, check=True)
    assert (tmp_path / "script").read_text() == job().script("/out")


def test_the_script_hands_values_with_quotes_on(tmp_path: Path) -> None:
    for name in ("servecast", "python3"):
        (tmp_path / name).write_text("#!/bin/bash\nprintf '%s\\n' \"$@\" > $(basename $0).args\n")
        (tmp_path / name).chmod(0o755)
    subprocess.run(
        ["bash", "-c", job().script("/out")], cwd=tmp_path, env={"PATH": f"{tmp_path}:/usr/bin:/bin"}, check=True
    )
    arguments = (tmp_path / "servecast.args").read_text().splitlines()
    assert '--hf-overrides={"note": "it\'s $HOME"}' in arguments
    assert arguments[arguments.index("--out") + 1] == "/out/h100-sxm-x2-llama-3-1-8b"


@pytest.mark.parametrize("name", ["a100-80", "h100-sxm", "h100-pcie", "h200", "b200", "l40s", "l4"])
def test_nvidia_gpus_of_the_catalog_have_scheduler_names(name: str) -> None:
    assert gpu(name)
    assert all(scheduler_gpu_name(name, target) for target in ("slurm", "kubernetes", "skypilot"))


def test_a_gpu_without_a_name_asks_for_one() -> None:
    with pytest.raises(InputError, match="--gpu-name"):
        scheduler_gpu_name("mi300x", "kubernetes")


def test_the_command_writes_a_job_for_each_gpu_and_model(tmp_path: Path) -> None:
    arguments = f"job --target kubernetes --gpu h100-sxm l40s --model a/m b/n --volume claim --out {tmp_path}"
    assert app(arguments, result_action="return_value") == 0
    assert len(list(tmp_path.glob("*.yaml"))) == 4
    with pytest.raises(InputError, match="name=value"):
        app(f"{arguments} --engine-arg nonsense", result_action="return_value")
