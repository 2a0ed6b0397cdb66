"""Job files for Slurm, Kubernetes, Docker and SkyPilot."""

from __future__ import annotations

import io
import math
import shlex
from collections.abc import Callable, Sequence
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.scalarstring import LiteralScalarString

from calibrate.jobs.spec import JobSpec
from simulator.units import SECONDS_PER_HOUR

_OUT = "/out"
_SHARED_MEMORY = "16gb"
"""NCCL's need between the GPUs of one container, as vLLM's own deployment guide sets it."""


def slurm(jobs: Sequence[JobSpec]) -> dict[str, str]:
    """One `sbatch` file a job; it runs in the cluster's container plug-in (Pyxis) and is queued again if it fails."""
    return {f"{job.name}.sbatch": _slurm(job) for job in jobs}


def _slurm(job: JobSpec) -> str:
    minutes = math.ceil(job.limit_h * 60)
    mounts = shlex.quote(f"{job.out}:{_OUT}")
    return (
        "#!/bin/bash\n"
        f"#SBATCH --job-name={job.name}\n"
        "#SBATCH --nodes=1\n"
        f"#SBATCH --gpus-per-node={job.gpu_name}:{job.gpus}\n"
        "#SBATCH --exclusive\n"
        f"#SBATCH --time={minutes}\n"
        "#SBATCH --requeue\n"
        f"#SBATCH --output={job.name}-%j.log\n"
        f"mkdir -p {shlex.quote(job.out)}\n"
        f"srun --container-image={shlex.quote(job.image)} --container-mounts={mounts} "
        f"bash -c {shlex.quote(job.script(_OUT))} ||\n"
        f'  if [ "${{SLURM_RESTART_COUNT:-0}}" -lt {job.retries} ]\n'
        '  then scontrol requeue "$SLURM_JOB_ID"\n  else exit 1\n  fi\n'
    )


def kubernetes(jobs: Sequence[JobSpec]) -> dict[str, str]:
    """One `batch/v1` Job a file; `out` is the name of a PersistentVolumeClaim."""
    return {f"{job.name}.yaml": _yaml(_kubernetes(job)) for job in jobs}


def _kubernetes(job: JobSpec) -> dict[str, Any]:
    container = {
        "name": "profile",
        "image": job.image,
        "command": ["bash", "-c", LiteralScalarString(job.script(_OUT))],
        "resources": {"limits": {"nvidia.com/gpu": job.gpus}},
        "volumeMounts": [{"name": "out", "mountPath": _OUT}, {"name": "shm", "mountPath": "/dev/shm"}],
    }
    pod = {
        "restartPolicy": "Never",
        "nodeSelector": {"nvidia.com/gpu.product": job.gpu_name},
        "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
        "containers": [container],
        "volumes": [
            {"name": "out", "persistentVolumeClaim": {"claimName": job.out}},
            {"name": "shm", "emptyDir": {"medium": "Memory"}},
        ],
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": job.name, "labels": {"app.kubernetes.io/name": "servecast-calibrate"}},
        "spec": {
            "backoffLimit": job.retries,
            "activeDeadlineSeconds": round(job.limit_h * SECONDS_PER_HOUR),
            "template": {"spec": pod},
        },
    }


def docker(jobs: Sequence[JobSpec]) -> dict[str, str]:
    """One Compose file with a service a job; run them one after the other: `docker compose run NAME`."""
    return {"compose.yaml": _yaml({"services": {job.name: _service(job) for job in jobs}})}


def _service(job: JobSpec) -> dict[str, Any]:
    device = {"driver": "nvidia", "count": job.gpus, "capabilities": ["gpu"]}
    return {
        "image": job.image,
        "entrypoint": ["bash", "-c"],
        "command": [LiteralScalarString(job.script(_OUT).replace("$", "$$"))],
        "restart": f"on-failure:{job.retries}",
        "shm_size": _SHARED_MEMORY,
        "volumes": [f"{job.out}:{_OUT}"],
        "deploy": {"resources": {"reservations": {"devices": [device]}}},
    }


def skypilot(jobs: Sequence[JobSpec]) -> dict[str, str]:
    """One task a file, for `sky jobs launch`; `out` is a bucket, as `s3://name`."""
    return {f"{job.name}.sky.yaml": _yaml(_sky(job)) for job in jobs}


def _sky(job: JobSpec) -> dict[str, Any]:
    return {
        "name": job.name,
        "resources": {
            "accelerators": f"{job.gpu_name}:{job.gpus}",
            "image_id": f"docker:{job.image}",
            "job_recovery": {"max_restarts_on_errors": job.retries},
        },
        "file_mounts": {_OUT: {"source": job.out, "mode": "MOUNT"}},
        "run": LiteralScalarString(job.script(_OUT)),
    }


TARGETS: dict[str, Callable[[Sequence[JobSpec]], dict[str, str]]] = {
    "slurm": slurm,
    "kubernetes": kubernetes,
    "docker": docker,
    "skypilot": skypilot,
}


def _yaml(value: Any) -> str:
    emitter = YAML()
    emitter.default_flow_style = False
    emitter.width = 4096
    text = io.StringIO()
    emitter.dump(value, text)
    return text.getvalue()
