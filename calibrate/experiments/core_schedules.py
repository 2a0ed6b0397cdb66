"""Schedules of random engines in random combinations of modes, by vLLM's engine core over nothing."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from calibrate.experiments.engine_modes import PLAIN
from calibrate.experiments.random_engines import DrawnEngine, draw_engine
from calibrate.experiments.schedules import TINY_MODEL
from calibrate.vllm_process import EngineError, VllmProcess
from simulator.engine.modes.refusals import Asked, refusals
from simulator.engine.schedule_trace import FORMAT
from simulator.engine.trace_modes import KINDS
from simulator.engine.verify import ScheduleCheck, check_schedule
from simulator.results.files import write_bytes


@dataclass(frozen=True, slots=True)
class CoreRecording:
    """One engine that was drawn: what vLLM made of it, and how the replays went.

    Attributes
    ----------
    modes : names that were drawn, `plain` if none
    path : the recording; None where there is none
    refusal : why there is none: vLLM refused the engine, or the engine stood still
    facts : modes that were really on and how often they had an effect, as the recording has them
    checks : replays, by the compiled engine and by the reference
    """

    modes: tuple[str, ...]
    path: Path | None = None
    refusal: str = ""
    facts: dict[str, Any] | None = None
    checks: tuple[ScheduleCheck, ...] = ()

    @property
    def differs(self) -> bool:
        return any(check.first_difference for check in self.checks)


def record_cores(
    vllm: Callable[[], VllmProcess],
    out: Path,
    number: int,
    seed: int,
    allowed: Sequence[str],
    first: int = 0,
    edges: bool = False,
) -> Iterator[CoreRecording]:
    """Draw `number` engines, record and replay each; one process of vLLM for all of them.

    Parameters
    ----------
    allowed : modes that may be drawn; none of them is plain serving
    first : number of the first engine
    edges : at their limits, in more modes at once
    """
    process = vllm()
    try:
        version = str(process.call("versions")["vllm"]).partition("+")[0]
        for k in range(first, first + number):
            drawn = draw_engine(seed, k, allowed, edges)
            name = drawn.mode or PLAIN
            modes = drawn.modes or (PLAIN,)
            if found := refusals(asked_of(drawn.engine), version):
                yield CoreRecording(modes, refusal=f"vLLM {version} refuses it: {found[0].message}")
                continue
            try:
                made = _record(process, drawn)
            except EngineError as error:
                if error.kind == "died":
                    raise
                yield CoreRecording(modes, refusal=str(error).partition(" (vLLM's output")[0])
                continue
            path = out / f"{'edge' if edges else 'core'}-{seed}-{k}.json.gz"
            write_recording(path, {"format": FORMAT, "mode": name, **made, "requests": drawn.requests})
            yield CoreRecording(modes, path, facts=made["facts"], checks=_replay(path))
    finally:
        process.close()


def asked_of(engine: dict[str, Any]) -> Asked:
    """A drawn engine as vLLM would be asked for it on GPUs."""
    drafts = engine.get("speculative", {})
    layers = {
        KINDS["full" if kind == "half" else kind.partition(":")[0]] for kind, _ in engine.get("layers", [["full", 1]])
    }
    known = {name: engine[name] for name in Asked.__slots__ if name in engine and name != "layers"}
    return Asked(
        **known,
        method=drafts.get("method", ""),
        num_speculative_tokens=drafts.get("num_speculative_tokens", 0),
        mtp_modules=drafts.get("mtp_modules", 1),
        drafts_by_batch_size="per_batch_size" in drafts,
        layers=frozenset(layers),
        offloads="offload" in engine,
        connector_takes_groups=True if "connector" in engine else None,
        enable_lora="max_loras" in engine,
    )


def _record(process: VllmProcess, drawn: DrawnEngine) -> dict[str, Any]:
    made: dict[str, Any] = process.call(
        "record_core", engine=drawn.engine, requests=drawn.requests, events=drawn.events, model=str(TINY_MODEL)
    )
    return made


def _replay(path: Path) -> tuple[ScheduleCheck, ...]:
    from simulator.engine.verify import replay_by_reference
    from simulator.fleet.replay import replay_kernel

    return check_schedule(path, {"kernel": replay_kernel, "reference": replay_by_reference})


def write_recording(path: Path, recording: dict[str, Any]) -> None:
    """Write a recording compressed, whole or not at all; equal content gives equal bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(recording, sort_keys=True, separators=(",", ":")) + "\n"
    write_bytes(path, gzip.compress(text.encode(), mtime=0))
