"""vLLM's process with a stand-in for vLLM: answers, refusals, deaths, and nothing that is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from calibrate.vllm_process import PYTHON_VARIABLE, EngineError, VllmProcess, end_group, find_interpreter
from simulator.errors import InputError

DRIVER = """
import json, os, signal, subprocess, sys
asked = sys.argv[1:]
for line in sys.stdin:
    given = json.loads(line)
    if given["do"] == "add":
        print(json.dumps({"ok": given["one"] + given["other"]}), flush=True)
    elif given["do"] == "refuse":
        print(json.dumps({"error": "refused", "message": "no such model"}), flush=True)
    elif given["do"] == "tell":
        path = os.environ["PYTHONPATH"].split(os.pathsep)[0]
        told = {"asked": asked, "driver": sorted(os.listdir(path + "/calibrate")), "path": path}
        told["environment"] = {key: os.environ.get(key) for key in ("VLLM_ENABLE_V1_MULTIPROCESSING", "OWN")}
        print(json.dumps({"ok": told}), flush=True)
    elif given["do"] == "work":
        worker = subprocess.Popen(["sleep", "600"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        print(json.dumps({"ok": worker.pid}), flush=True)
    elif given["do"] == "end":
        for number in range(20):
            print(f"line {number}", file=sys.stderr)
        sys.exit(3)
    else:
        os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def python(tmp_path: Path) -> str:
    """What is taken for an interpreter with vLLM."""
    (tmp_path / "driver.py").write_text(DRIVER)
    program = tmp_path / "python-with-vllm"
    program.write_text(f'#!/bin/sh\n[ "$1" = -c ] && exit 0\nexec {sys.executable} -S -E {tmp_path}/driver.py "$@"\n')
    program.chmod(0o755)
    return str(program)


@pytest.fixture
def process(python: str, tmp_path: Path) -> Iterator[VllmProcess]:
    with VllmProcess(python, tmp_path / "logs" / "vllm.log", {"OWN": "here"}) as found:
        yield found


def test_a_command_is_answered_or_refused(process: VllmProcess, tmp_path: Path) -> None:
    assert process.call("add", one=2, other=3) == 5
    with pytest.raises(EngineError, match=r"no such model \(vLLM's output: .*vllm\.log\)") as refused:
        process.call("refuse")
    assert (refused.value.kind, refused.value.exit_code) == ("refused", 2)
    told = process.call("tell")
    assert told["asked"] == ["-m", "calibrate.driver"]
    assert told["environment"] == {"VLLM_ENABLE_V1_MULTIPROCESSING": "0", "OWN": "here"}
    assert told["driver"] == ["__init__.py", "driver"], "nothing else of servecast reaches vLLM's interpreter"


@pytest.mark.parametrize(
    ("do", "kind", "said"),
    [
        ("end", "died", "ended with exit code 3"),
        ("kill", "out_of_memory", "was killed, as the system does when memory"),
    ],
)
def test_a_process_that_ends_says_why(do: str, kind: str, said: str, process: VllmProcess) -> None:
    with pytest.raises(EngineError, match=said) as died:
        process.call(do)
    assert died.value.kind == kind
    assert str(died.value).splitlines()[1:] == ([f"line {number}" for number in range(8, 20)] if do == "end" else [])
    with pytest.raises(EngineError, match=said):
        process.call("add", one=1, other=1)


def test_what_is_closed_leaves_nothing_behind(python: str, tmp_path: Path) -> None:
    with VllmProcess(python, tmp_path / "vllm.log") as process:
        worker, folder, main = process.call("work"), Path(process.call("tell")["path"]), process.pid
        assert folder.is_dir()
        assert os.getsid(worker) == os.getsid(main) == main, "Ctrl-C is for us, who then end the group"
    assert not folder.exists()
    assert is_over(main)
    assert is_over(worker)


def is_over(pid: int) -> bool:
    """Gone, or dead and waiting for a parent that is not ours to ask after it."""
    place = Path(f"/proc/{pid}/stat")
    return not place.exists() or place.read_text().rpartition(")")[2].split()[0] == "Z"


def test_a_process_that_does_not_listen_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    deaf = subprocess.Popen(
        ["sh", "-c", "trap '' TERM; echo up; while :; do sleep 600; done"],
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert deaf.stdout is not None
    deaf.stdout.readline()
    wait, asked = deaf.wait, []

    def impatient(patience_s: float | None = None) -> int:
        asked.append(patience_s)
        return wait(None if patience_s is None or len(asked) > 1 else 0.05)

    monkeypatch.setattr(deaf, "wait", impatient)
    end_group(deaf)
    assert deaf.returncode == -signal.SIGKILL
    assert asked[:2] == [10.0, 10.0]
    deaf.stdout.close()


def test_the_interpreter_is_the_one_named_or_this_one(
    python: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without = tmp_path / "python-without"
    without.write_text("#!/bin/sh\nexit 1\n")
    without.chmod(0o755)
    monkeypatch.delenv(PYTHON_VARIABLE, raising=False)
    monkeypatch.setattr("calibrate.vllm_process.find_spec", lambda name: None)
    assert find_interpreter(Path(python)) == python
    refused = {str(without): "this interpreter has no vLLM; install", str(tmp_path / "none"): "no such interpreter"}
    for named, said in refused.items():
        with pytest.raises(InputError, match=said):
            find_interpreter(Path(named))
    with pytest.raises(
        InputError, match=r"no vLLM beside this interpreter; install .*name the interpreter that has it"
    ):
        find_interpreter(None)
    monkeypatch.setenv(PYTHON_VARIABLE, str(without))
    with pytest.raises(InputError, match="this interpreter has no vLLM"):
        find_interpreter(None)
    assert find_interpreter(Path(python)) == python, "what is given goes before the variable"
    monkeypatch.setenv(PYTHON_VARIABLE, python)
    assert find_interpreter(None) == python
    monkeypatch.delenv(PYTHON_VARIABLE)
    monkeypatch.setattr("calibrate.vllm_process.find_spec", lambda name: name == "vllm" or None)
    assert find_interpreter(None) == sys.executable
