"""`servecast calibrate job`: job files that profile models on GPUs elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

_LIST = Parameter(consume_multiple=True)


def job(
    *,
    target: Literal["slurm", "kubernetes", "docker", "skypilot"],
    gpu: Annotated[list[str], _LIST],
    model: Annotated[list[str], _LIST],
    volume: str,
    out: Path = Path("jobs"),
    tp: int = 1,
    pp: int = 1,
    engine_arg: Annotated[list[str] | None, _LIST] = None,
    gpu_name: str | None = None,
    image: str = "vllm/vllm-openai:v0.32.0",
    install: str = "servecast",
    retries: int = 2,
    limit_h: float = 4.0,
) -> int:
    """Write jobs that profile each model on each GPU and leave bundles to fit anywhere.

    For example:

        servecast calibrate job --target slurm --gpu h100-sxm --model Qwen/Qwen3-8B --volume /scratch/profiles

    Parameters
    ----------
    target
        What runs the jobs.
    gpu
        GPUs of the catalog; several give a job each.
    model
        Hugging Face names, or folders on the machines; several give a job each.
    volume
        Where bundles are left: a folder (slurm, docker), a PersistentVolumeClaim (kubernetes), a bucket
        (skypilot).
    out
        Folder for the job files.
    tp
        Tensor-parallel GPUs of the engine.
    pp
        Pipeline-parallel stages of the engine.
    engine_arg
        Name=value for vLLM's engine, as max_num_seqs=256.
    gpu_name
        What the scheduler calls the GPU, where it is not the usual name.
    image
        Container image with vLLM.
    install
        What pip installs in it: servecast, a version of it, or the path of a wheel.
    retries
        Times that a failed job is started again; it goes on where it was.
    limit_h
        Wall-clock limit in hours.
    """
    from calibrate.jobs.spec import JobSpec, scheduler_gpu_name
    from calibrate.jobs.targets import TARGETS
    from simulator.errors import InputError, Problem
    from simulator.results.files import make_folder, write_text

    if tp < 1 or pp < 1 or retries < 0 or not limit_h > 0:
        raise InputError("tp and pp must be at least 1, retries at least 0, and limit-h positive")
    settings = {"tensor_parallel_size": str(tp), "pipeline_parallel_size": str(pp)}
    for entry in engine_arg or ():
        name, sign, value = entry.partition("=")
        if not (sign and name):
            raise InputError(Problem("must be name=value", path="--engine-arg", got=entry))
        settings[name] = value
    jobs = [
        JobSpec(
            card,
            gpu_name or scheduler_gpu_name(card, target),
            tp * pp,
            name,
            image,
            install,
            volume,
            retries,
            limit_h,
            settings,
        )
        for card in gpu
        for name in model
    ]
    make_folder(out)
    for file, text in TARGETS[target](jobs).items():
        write_text(out / file, text)
        print(out / file)
    return 0
