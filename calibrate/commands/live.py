"""`servecast calibrate live`: watch a running vLLM server and compare it with its profile."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter


def live(
    url: str | None = None,
    /,
    *,
    profile: Path,
    out: Path = Path("live"),
    from_: Annotated[Path | None, Parameter(name="--from")] = None,
    model: str | None = None,
    period_s: float = 5.0,
    duration_s: float = 300.0,
    threshold: float = 0.02,
    seed: int = 0,
    check: bool = False,
    format: Literal["table", "json"] = "table",
) -> int:
    """Poll a server's metrics, rebuild its load, and say by how much its steps differ from the profile.

    Writes `polls.jsonl`, `traffic.json`, `workload.yaml`, `report.json` and, where the drift is significant,
    `profile.json`, the corrected profile.

    For example:

        servecast calibrate live http://127.0.0.1:8000 --profile profile.json --out watch

    Parameters
    ----------
    url
        The server, as http://127.0.0.1:8000, or its metrics page.
    profile
        Profile of the engine, from `servecast calibrate fit`.
    out
        Folder for what is written.
    from_
        A recording (polls.jsonl) to look at again, instead of a server.
    model
        The model's name, where the server has several.
    period_s
        Time between polls.
    duration_s
        Length of the watch.
    threshold
        Smallest change of the step times that is called a drift.
    seed
        Of the simulated twin.
    check
        Exit with 1 if the drift is significant.
    format
        Table for people, json for programs.
    """
    import time
    from functools import cache

    from calibrate.fit.profile_file import write_json
    from calibrate.live.drift import estimate
    from calibrate.live.fetch import address
    from calibrate.live.load import description, seen_load, workload_section
    from calibrate.live.poll import Clock, poll, read_recording, record
    from calibrate.live.report import corrected_profile, watch_value, yaml_text
    from calibrate.live.twin import Twin, compare, server_config, simulate_twin
    from calibrate.live.window import observe
    from calibrate.recording.run import engine_config
    from calibrate.recording.shape import Limits
    from simulator.catalog.profiles import read_profile
    from simulator.cli.output import print_json, print_table, progress_bar
    from simulator.errors import InputError
    from simulator.perf.device import BatchLimits
    from simulator.results.bundle import finite
    from simulator.results.files import make_folder, write_text
    from simulator.schema.checked import checked
    from simulator.units import rough
    from simulator.workload.describe import write_description

    if (url is None) == (from_ is None):
        raise InputError("give either the address of a metrics page or --from with a recording")
    if not (period_s > 0 and duration_s >= period_s):
        raise InputError("period-s must be positive, and duration-s at least as long")
    known = read_profile(profile)
    make_folder(out)
    if from_ is not None:
        polls = read_recording(from_)
    else:
        polls = []
        began_s = time.time() - time.monotonic()
        clock = Clock(lambda: began_s + time.monotonic(), time.sleep)
        with progress_bar(False) as progress:
            watch = poll(address(str(url)), period_s, duration_s, clock, timeout_s=period_s, model=model)
            for entry in record(watch, out / "polls.jsonl"):
                polls.append(entry)
                progress("the server's load", min((entry.time_s - polls[0].time_s) / duration_s, 1.0))
    observation = observe(polls)
    if not observation.windows:
        raise InputError("the watch has no two readings in a row without a gap between them; watch for longer")
    load = seen_load(observation)
    config = server_config(engine_config(checked(Limits, known.value["engine"], profile), profile), observation.cache)
    step_time = known.step_time(BatchLimits(config.max_num_batched_tokens, config.max_num_seqs))

    @cache
    def twin(factor: float) -> Twin:
        return simulate_twin(observation, config, step_time.scaled(factor), seed)

    drift = estimate(observation, twin, threshold=threshold, seed=seed)
    rows = compare(observation, twin(1.0))
    value = finite(watch_value(observation, rows, drift))
    write_description(description(observation, seed), out / "traffic.json")
    write_text(out / "workload.yaml", yaml_text({"workload": workload_section(observation, "traffic.json")}))
    write_json(value, out / "report.json")
    if drift.significant:
        write_json(corrected_profile(known.value, drift, str(from_ or out / "polls.jsonl")), out / "profile.json")
    if format == "json":
        print_json(value)
        return 1 if check and drift.significant else 0
    print(
        f"{rough(load.rate_rps)} requests/s, ISL {load.isl_mean:.0f}, OSL {load.osl_mean:.0f}, "
        f"prefix hits {100 * load.hit_share:.0f} %, {len(observation.gaps)} gaps\n"
    )
    print_table(
        [
            [
                f"{row['metric'].removesuffix('_s')} {row['statistic']}",
                _span(row["measured_low"], row["measured_high"]),
                f"{1e3 * row['predicted']:.1f} ms",
                f"{100 * row['error']:+.1f} %",
                f"{100 * row['bound']:.0f} %",
            ]
            for row in rows
        ],
        ["metric", "measured", "predicted", "error", "bucket half-width"],
    )
    words = "significant" if drift.significant else "not significant"
    print(
        f"\nsteps take {drift.factor:.3f} times as long as the profile says ({drift.low:.3f} to {drift.high:.3f}): "
        f"{words}\nwritten: {out}"
    )
    return 1 if check and drift.significant else 0


def _span(low: float, high: float) -> str:
    return f"{1e3 * low:.1f} ms" if low == high else f"{1e3 * low:.1f} to {1e3 * high:.1f} ms"
