"""Scenarios of one topology made into the nouns of money, for the tests of prices and terms."""

from __future__ import annotations

from pathlib import Path

import pytest

from simulator.errors import InputError
from simulator.resolve.terms import ResolvedTerms, resolve_terms
from simulator.resolve.topology import check_catalog_names, plan_topologies
from simulator.scenario.load import load_scenario

TEXT = """\
schema_version: 1
name: terms
model: llama-3.1-8b-instruct
engine: {max_model_len: 8192}
workload:
  classes:
    - name: chat
      arrivals: {kind: poisson, rate_rps: 1}
      lengths: {isl: 300, osl: 60}
      data_class: internal
    - name: night
      arrivals: {kind: poisson, rate_rps: 1}
      lengths: {isl: 300, osl: 60}
      service_tier: batch
      slo: {e2e_s: {p99: 86400}}
"""
RUN = "run: {horizon_s: 60}\n"
OWNED = "{name: base, site: datacentre, gpu: h100-sxm, billing: owned}"
RENTED = "name: rented, site: aws-us-east, gpu: h100-sxm"


def resolve(folder: Path, topology: str, *rest: str) -> ResolvedTerms:
    file = folder / "terms.yaml"
    file.write_text("\n".join([TEXT + "topologies:", f"  one: {topology}", *rest, RUN]))
    loaded = load_scenario(file)
    check_catalog_names(loaded)
    (planned,) = plan_topologies(loaded)
    return resolve_terms(planned)


def refused(folder: Path, topology: str, *rest: str) -> str:
    with pytest.raises(InputError) as caught:
        resolve(folder, topology, *rest)
    problem = caught.value.problems[0]
    assert problem.file == str(folder / "terms.yaml")
    assert problem.line is not None
    assert problem.column is not None
    return str(problem).removeprefix(f"{folder}/")


def pools(*several: str) -> str:
    return f"{{pools: [{', '.join(several)}]}}"
