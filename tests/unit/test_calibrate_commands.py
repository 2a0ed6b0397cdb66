"""Commands that need vLLM or tables of a vendor, with stand-ins for these: what goes where, and what is refused."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from calibrate.commands.import_kernels import import_kernels
from calibrate.commands.record_schedule import record_schedule
from calibrate.kernels.profile import Profile
from simulator.catalog.gpus import gpu
from simulator.errors import InputError

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """What is asked of vLLM, by each of the three ways to record."""
    asked: list[tuple[Any, ...]] = []
    schedules, cores = (import_module(f"calibrate.experiments.{name}") for name in ("schedules", "core_schedules"))
    process = import_module("calibrate.vllm_process")

    def noted(name: str) -> Any:
        def note(start: Any, *given: Any) -> list[Any]:
            asked.append((name, *given))
            return []

        return note

    monkeypatch.setattr(process, "find_interpreter", lambda python: python)
    monkeypatch.setattr(cores, "record_cores", noted("cores"))
    monkeypatch.setattr(schedules, "record_random", noted("random"))
    return asked


def test_random_engines_are_driven_as_is_asked(
    recorded: list[tuple[Any, ...]], tmp_path: Path, capsys: Capture
) -> None:
    record_schedule(out=tmp_path, random=3, first=7, seed=5, modes="plain")
    record_schedule(out=tmp_path, random=3, seed=5, using="scheduler")
    record_schedule(out=tmp_path, random=3, seed=5, using="engine", modes="plain")
    (_, *core), scheduler, engine = recorded
    assert core[:3] == [tmp_path, 3, 5]
    assert core[4:] == [7, False]
    assert scheduler == ("random", tmp_path, 3, 5, False)
    assert engine == ("random", tmp_path, 3, 5, True)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"random": 3, "using": "scheduler", "modes": "async"}, "only the engine core is driven in these modes"),
        ({"random": 3, "using": "engine", "modes": "async"}, "only the engine core is driven in these modes"),
        ({"random": 3, "modes": "asink"}, "asink"),
    ],
)
def test_modes_that_cannot_be_driven_are_refused(
    given: dict[str, Any], said: str, recorded: list[tuple[Any, ...]], tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=said):
        record_schedule(out=tmp_path, **given)
    with pytest.raises(InputError, match="random engines choose their own arguments"):
        record_schedule("--max-num-seqs", out=tmp_path, random=3)
    assert recorded == []


def test_kernels_are_imported_into_the_folder_that_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    asked: list[tuple[Any, ...]] = []
    build, tables, report = (import_module(f"calibrate.kernels.{name}") for name in ("build", "tables", "report"))

    def build_all(*given: Any) -> str:
        asked.append(given[:-1])
        given[-1]("h200: gemm")
        return "profiles"

    monkeypatch.setattr(tables, "find_tables", lambda source: f"tables of {source}")
    monkeypatch.setattr(build, "build_all", build_all)
    monkeypatch.setattr(build, "write_profiles", lambda found, folder: [folder / "a.json", folder / "b.json"])
    monkeypatch.setattr(report, "residual_rows", lambda found: [{"gpu": "h200", "error": "3 %"}])
    monkeypatch.setattr(report, "write_docs", lambda path, found: asked.append((path, found)))
    assert import_kernels("h200", source=Path("here"), output=tmp_path, retrieved="2026-11-28") == 0
    told = capsys.readouterr()
    assert asked == [("tables of here", ("h200",), "2026-11-28")]
    assert "h200" in told.out
    assert told.err.splitlines() == ["h200: gemm", f"2 profiles in {tmp_path}"]
    assert import_kernels(output=tmp_path, write_docs=tmp_path / "a.md") == 0
    assert asked[-1] == (tmp_path / "a.md", "profiles")


def test_a_profile_in_the_making_has_its_gpu_s_peaks() -> None:
    profile = Profile(SimpleNamespace(), "h100-sxm", {"multiprocessors": 132})  # type: ignore[arg-type]
    device, peaks = gpu("h100-sxm").device, profile.peaks("fp8")
    assert (peaks.bandwidth_bytes_per_s, peaks.flops_per_s, peaks.multiprocessors) == (
        *(device.bandwidth_bytes_per_s, device.peak_flops["fp8"], 132),
    )
    assert profile.kernels == {"multiprocessors": 132}
