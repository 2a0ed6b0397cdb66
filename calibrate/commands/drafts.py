"""`servecast calibrate drafts`: keys of speculative decoding from what a real engine's drafts did."""

from __future__ import annotations

import json
import sys
from pathlib import Path


def drafts(*recordings: Path) -> int:
    """Print `speculative_config` as measured: drafts accepted by position, and steps that had any.

    For example:

        servecast calibrate drafts recordings/recording.json

    Parameters
    ----------
    recordings
        Recordings in the format vllm-schedule-trace/1, or folders of them: of real models and prompts, since an
        executor that computes nothing draws its drafts.
    """
    from calibrate.fit.drafts import measured_drafts
    from simulator.engine.trace_reader import load_schedule_trace
    from simulator.errors import InputError, Problem

    files = [file for each in recordings for file in (sorted(each.rglob("*.json*")) if each.is_dir() else [each])]
    traces = [trace for trace in map(load_schedule_trace, files) if trace.config.num_speculative_tokens]
    if not traces:
        raise InputError(Problem("no recording of an engine with drafts is given", "recordings"))
    found = measured_drafts(traces)
    if not found.verified.any():
        raise InputError(Problem("the recordings tell of no draft that was verified", "recordings"))
    plain = [trace for trace in traces if not trace.config.num_lookahead_tokens]
    for name, value in found.keys(looks_up=len(plain) == len(traces)).items():
        print(f"{name}: {json.dumps(value)}")
    print(f"{found.steps:,} steps of requests, {int(found.verified[0]):,} with drafts", file=sys.stderr)
    return 0
