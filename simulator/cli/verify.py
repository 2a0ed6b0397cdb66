"""`servecast verify schedule`: replay recordings of the real scheduler."""

from __future__ import annotations

from pathlib import Path
from typing import Literal


def schedule(traces: list[Path], /, *, engine: Literal["both", "kernel", "reference"] = "both") -> int:
    """Replay recordings of vLLM's scheduler and compare every step. Exits with 1 on any difference.

    Parameters
    ----------
    traces: recordings in the format vllm-schedule-trace/1
    engine: the compiled engine, its plain-Python reference, or both
    """
    from simulator.engine.reference.replay import replay_reference
    from simulator.engine.verify import Replay, check_schedule
    from simulator.fleet.single import replay_kernel

    replays: dict[str, Replay] = {"kernel": replay_kernel, "reference": replay_reference}
    chosen = replays if engine == "both" else {str(engine): replays[engine]}
    identical = total = 0
    for trace in traces:
        for check in check_schedule(trace, chosen):
            print(f"{check.file}: {check.engine}: {check.identical_steps} / {check.n_steps} steps identical")
            if check.first_difference:
                print(check.first_difference)
            identical += check.identical
            total += 1
    return 0 if identical == total else 1
