"""`servecast verify`: bundles against their checksums; the scheduler against recordings of the real one."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from simulator.engine.verify import Replay, ScheduleCheck

Engine = Literal["both", "kernel", "reference"]


def bundle(bundles: list[Path], /) -> int:
    """Whether run bundles are as they were written: each file that was cut, altered, added or taken away is named.

    Exits with 1 on any difference.

    For example:

        servecast verify bundle runs/quickstart-4fb36670

    Parameters
    ----------
    bundles
        Folders written by `servecast run` or `sweep`.
    """
    from simulator.cli.problems import told
    from simulator.results.bundle import read_manifest
    from simulator.results.seal import differences

    different = False
    for folder in bundles:
        manifest = read_manifest(folder)
        found = list(differences(manifest, folder))
        different |= bool(found)
        for problem in found:
            print(told(problem))
        if not found:
            print(f"{folder}: {len(manifest['sha256'])} files, all as they were written")
    return 1 if different else 0


def schedule(traces: list[Path], /, *, engine: Engine = "both") -> int:
    """Replay recordings of vLLM's scheduler and compare every step; then by mode, if there are several.

    The first difference of a recording is shown side by side, with the rules that decided. Exits with 1 on any
    difference, and where an engine does not have the mode of a recording.

    For example:

        servecast verify schedule tests/data/vllm-schedule-traces

    Parameters
    ----------
    traces
        Recordings in the format vllm-schedule-trace/1, JSON or JSON compressed with gzip, or folders of them.
    engine
        The compiled engine, its plain-Python reference, or both.
    """
    files = _files(traces)
    checks = [check for file in files for check in _check(file, engine)]
    for check in checks:
        if check.missing:
            print(f"{check.file}: {check.engine}: not replayed, the engine does not have: {check.missing}")
            continue
        print(f"{check.file}: {check.engine}: {check.identical_steps} / {check.n_steps} steps identical")
        if check.first_difference:
            print(check.first_difference)
    if len(files) > 1:
        print()
        _print_by_mode(checks)
    _say_unproven(checks)
    return 0 if all(check.identical for check in checks) else 1


def versions(traces: list[Path], /, *, engine: Engine = "both") -> int:
    """For which vLLM, in which modes, is the scheduler exact: steps identical / recorded by mode and version.

    Recordings in modes that an engine does not have are not replayed: "a / b of c" are identical, replayed, recorded.
    Exits with 1 on any difference.

    For example:

        servecast verify versions tests/data/vllm-schedule-modes

    Parameters
    ----------
    traces
        Recordings, or folders of them.
    engine
        The compiled engine, its plain-Python reference, or both.
    """
    checks = [check for file in _files(traces) for check in _check(file, engine)]
    _print_by_mode(checks)
    _say_unproven(checks)
    return 1 if any(check.first_difference for check in checks) else 0


def _files(traces: list[Path]) -> list[Path]:
    return [file for trace in traces for file in (sorted(trace.rglob("*.json*")) if trace.is_dir() else [trace])]


def _say_unproven(checks: list[ScheduleCheck]) -> None:
    """Name versions of vLLM that have no rules of their own."""
    from simulator.engine.rules import RULE_SETS

    for version in sorted({check.vllm_version for check in checks} - set(RULE_SETS)):
        print(f"vLLM {version}: no recordings have proven it; replayed by the rules of {list(RULE_SETS)[-1]}")


def _print_by_mode(checks: list[ScheduleCheck]) -> None:
    """Steps identical / recorded; a recording in several modes counts in each, and once in all."""
    from simulator.cli.output import print_table

    cells: dict[tuple[str, str, str], list[ScheduleCheck]] = defaultdict(list)
    for check in checks:
        for mode in (*check.mode.split("+"), _ALL):
            cells[mode, str(check.engine), check.vllm_version].append(check)
    columns = sorted({(name, version) for _, name, version in cells})
    modes = sorted({mode for mode, _, _ in cells} - {_ALL})
    rows = [
        [mode, *(_cell(cells.get((mode, name, version), [])) for name, version in columns)] for mode in (*modes, _ALL)
    ]
    print_table(rows, ["mode", *(f"{name}, vLLM {version}" for name, version in columns)])


_ALL = "all recordings"


def _cell(checks: list[ScheduleCheck]) -> str:
    if not checks:
        return ""
    simulated = [check for check in checks if not check.missing]
    if not simulated:
        return "not simulated"
    recorded, replayed = (sum(check.n_steps for check in some) for some in (checks, simulated))
    more = f" of {recorded:,}" if recorded > replayed else ""
    return f"{sum(check.identical_steps for check in simulated):,} / {replayed:,}{more}"


def _check(trace: Path, engine: Engine) -> tuple[ScheduleCheck, ...]:
    from simulator.engine.verify import check_schedule, replay_by_reference
    from simulator.fleet.replay import replay_kernel

    replays: dict[str, Replay] = {"kernel": replay_kernel, "reference": replay_by_reference}
    return check_schedule(trace, replays if engine == "both" else {engine: replays[engine]})
