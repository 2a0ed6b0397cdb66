"""What a calibration job runs, whatever runs it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from ruamel.yaml import YAML

from simulator.errors import InputError, Problem, unknown_name


@dataclass(frozen=True, slots=True)
class JobSpec:
    """One profile of one model on one kind of GPU.

    Attributes
    ----------
    gpu : name in the catalog; `gpu_name` is what the scheduler calls it
    gpus : GPUs of the engine, tensor x pipeline parallel
    model : Hugging Face name or a folder on the machine
    engine_args : vLLM's engine arguments, handed on as they are
    image : container image with vLLM in it
    install : what pip installs beside it
    out : folder or volume where bundles are left; a job that is started again goes on in its own
    retries : times that a job which failed is started again
    limit_h : wall-clock limit, hours
    """

    gpu: str
    gpu_name: str
    gpus: int
    model: str
    image: str
    install: str
    out: str
    retries: int
    limit_h: float
    engine_args: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Short name, fit for files and for Kubernetes."""
        words = f"{self.gpu}-x{self.gpus}-{self.model.rsplit('/', 1)[-1]}".lower()
        return re.sub(r"[^a-z0-9]+", "-", words).strip("-")[:52].rstrip("-")

    def script(self, out: str) -> str:
        """Shell lines that leave the bundle in `out`."""
        arguments = [f"--{name.replace('_', '-')}={value}" for name, value in sorted(self.engine_args.items())]
        command = [
            "servecast",
            "calibrate",
            "profile",
            "--model",
            self.model,
            "--out",
            f"{out}/{self.name}",
            *arguments,
        ]
        return f"set -eu\npython3 -m pip install --quiet {shlex.quote(self.install)}\n{shlex.join(command)}\n"


@cache
def _names() -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = YAML(typ="safe").load(Path(__file__).with_name("gpus.yaml"))["gpus"]
    return found


def scheduler_gpu_name(gpu: str, target: str) -> str:
    """What the scheduler calls a GPU of the catalog; Docker takes whatever is in the machine.

    Raises
    ------
    InputError : no name is known for it
    """
    if target == "docker":
        return gpu
    if gpu not in _names():
        fix = "; --gpu-name says what your scheduler calls it"
        raise InputError(Problem(unknown_name("GPU", gpu, _names()) + fix, path="--gpu", got=gpu))
    return _names()[gpu][target]
