"""What a process does before it can answer is told, and is none of the time that an answer may take."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dashboard import previews
from dashboard.compiling import COMPILING
from dashboard.previews import preview
from dashboard.processes import STARTING, Pool, Tell

WAIT_S = 2.0
WORKER = f"""
import time
from numba.core.compiler_lock import global_compiler_lock
from dashboard import compiling
from dashboard.processes import answer_lines

compiling._LOADED_S = 0.05

def answer(request):
    if request["compiles"]:
        with global_compiler_lock, global_compiler_lock:
            time.sleep({WAIT_S} + 1)
    time.sleep(request["takes_s"])
    return request

answer_lines(answer, lambda: time.sleep({WAIT_S} + 1), compiling.watch)
"""


@pytest.fixture
def pool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pool]:
    (tmp_path / "slow_worker.py").write_text(WORKER, "utf-8")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{Path(__file__).parents[2]}")
    found = Pool("slow_worker", 1)
    yield found
    found.end()


def test_starting_and_compiling_are_told_and_not_counted(pool: Pool) -> None:
    told: list[str] = []
    assert pool.ask({"compiles": False, "takes_s": 0.0}, WAIT_S, tell=told.append) is not None
    assert told == [STARTING, ""]
    assert pool.ask({"compiles": True, "takes_s": 0.0}, WAIT_S, tell=told.append) is not None
    assert told == [STARTING, "", "", COMPILING, ""]
    assert pool.ask({"compiles": False, "takes_s": WAIT_S + 60}, WAIT_S) is None


def test_a_page_that_is_left_while_kernels_are_compiled_leaves_the_answer_for_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    class Compiles:
        def ask(self, request: object, wait_s: float, visitor: str, tell: Tell) -> dict[str, str]:
            asked.append(request)
            tell(COMPILING)
            tell("")
            return {"words": "found"}

    class LeftError(BaseException): ...

    def leave(doing: str) -> None:
        raise LeftError

    monkeypatch.setattr(previews, "pool", Compiles)
    with pytest.raises(LeftError):
        preview(tmp_path, "1", ("a=1",), tell=leave)
    assert preview(tmp_path, "1", ("a=1",)) == {"words": "found"}
    assert len(asked) == 1
    assert preview(tmp_path, "2", ("a=1",)) == {"words": "found"}
    assert len(asked) == 2, "another run was written there"
