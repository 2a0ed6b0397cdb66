"""Serves commands as JSON lines on standard input and output until the input ends; vLLM's own output goes to stderr.

Commands (`do`): versions, start, self_test, point, serve, record, record_alone, record_core, configure, modules. An
answer is `{"ok": …}` or `{"error": kind, "message": …}` with kind `out_of_memory` (the engine may be unusable),
`refused` (vLLM does not accept the arguments) or `failed`.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from typing import IO, Any


def main() -> None:
    """Serve until the input ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    state: dict[str, Any] = {"environment": dict(os.environ)}  # vLLM adds to it
    for line in sys.stdin:
        command = json.loads(line)
        name = command.pop("do")
        try:
            answer = {"ok": _serve(name, command, state)}
        except Exception as error:
            traceback.print_exc()
            answer = {"error": _kind(error, name), "message": f"{type(error).__name__}: {error}"}
        _send(answers, answer)
    os._exit(0)  # the engine's threads and workers end with the process group


def _send(answers: IO[str], answer: dict[str, Any]) -> None:
    answers.write(json.dumps(answer) + "\n")
    answers.flush()


def _kind(error: Exception, command: str) -> str:
    text = f"{type(error).__name__}: {error}".lower()
    if "out of memory" in text or "outofmemory" in text or isinstance(error, MemoryError):
        return "out_of_memory"
    if isinstance(error, TimeoutError):
        return "failed"
    return "refused" if command in ("start", "record_alone", "record_core") else "failed"


def _serve(name: str, command: dict[str, Any], state: dict[str, Any]) -> Any:
    if name == "versions":
        from calibrate.driver.describe import versions

        return versions()
    if name == "start":
        from calibrate.driver.describe import describe
        from calibrate.driver.session import Session

        state["session"] = Session(command["arguments"])
        return {**describe(state["session"].config, state["environment"]), "limits": state["session"].limits}
    if name == "record_alone":
        from calibrate.driver.schedules import record_alone

        return record_alone(**command)
    if name == "record_core":
        from calibrate.driver.mock.commands import record

        return record(**command)
    if name == "configure":
        from calibrate.driver.mock.configured import configured

        return configured(**command)
    if name == "modules":
        from calibrate.driver.mock.modules import modules

        return modules(**command)
    if name == "record":
        from calibrate.driver.schedules import record_engine

        return record_engine(state["session"], **command)
    return getattr(state["session"], name)(**command)


if __name__ == "__main__":
    main()
