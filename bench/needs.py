"""CPU time of a run by request and by output token, as `simulator/run/budget.py` estimates it: `python bench/needs.py`.

Runs of two horizons each with short and long answers, so that what every run takes besides drops out; half a minute.
With `--searches`: trials of the searches of scenarios/quickstart.yaml, which `simulator/size/expected.py` expects.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from simulator.run.budget import REQUEST_S, TOKEN_S
from simulator.run.simulate import simulate
from simulator.scenario.load import load_scenario

RATE_RPS = 5.0
HORIZONS_S = (20_000, 60_000)
ANSWERS_TOKENS = (16, 1024)
REPEATS = 2
QUICKSTART = Path(__file__).parents[1] / "scenarios/quickstart.yaml"
SCENARIO = """
schema_version: 1
name: needs
model: llama-3.1-8b-instruct
engine: {{max_model_len: 8192}}
workload:
  classes:
    - name: chat
      arrivals: {{kind: poisson, rate_rps: {rate_rps}}}
      lengths: {{isl: 300, osl: {osl}}}
      slo: {{ttft_s: {{p99: 1.0}}}}
topologies: {{own: {{pools: [{{name: base, site: datacentre, gpu: h100-sxm, billing: owned}}]}}}}
study: {{months: 6}}
cost: {{draws: 20}}
run: {{horizon_s: {horizon_s}, keep_requests: false}}
"""


def run_s(osl: int, horizon_s: int) -> float:
    """CPU seconds of a run, the least of several."""
    found = []
    for _ in range(REPEATS):
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "needs.yaml"
            file.write_text(SCENARIO.format(rate_rps=RATE_RPS, osl=osl, horizon_s=horizon_s), encoding="utf-8")
            began = time.process_time()
            simulate(load_scenario(file), folder, advise=False)
            found.append(time.process_time() - began)
    return min(found)


def print_searches() -> None:
    with tempfile.TemporaryDirectory() as folder:
        found = simulate(load_scenario(QUICKSTART), folder, advise=False).summary["topologies"]
    for name, told in found.items():
        if "search" in told:
            print(f"{name}: {told['search']['tried']} trials")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--searches", action="store_true")
    if parser.parse_args().searches:
        print_searches()
        return
    run_s(ANSWERS_TOKENS[0], HORIZONS_S[0])
    further = RATE_RPS * (HORIZONS_S[1] - HORIZONS_S[0])
    short, long = ((run_s(osl, HORIZONS_S[1]) - run_s(osl, HORIZONS_S[0])) / further for osl in ANSWERS_TOKENS)
    token_s = (long - short) / (ANSWERS_TOKENS[1] - ANSWERS_TOKENS[0])
    request_s = short - ANSWERS_TOKENS[0] * token_s
    shares = [found / (REQUEST_S + osl * TOKEN_S) for osl, found in zip(ANSWERS_TOKENS, (short, long), strict=True)]
    print(f"{1e6 * request_s:.1f} µs a request, {1e9 * token_s:.1f} ns an output token")
    print(f"{min(shares):.2f} to {max(shares):.2f} of the estimate")


if __name__ == "__main__":
    main()
