"""`servecast validate`: check a scenario without running it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def validate(
    scenario: Path,
    /,
    *,
    overlay: list[Path] | None = None,
    set_: Annotated[list[str] | None, Parameter(name="--set")] = None,
    resolved: bool = False,
) -> int:
    """Check a scenario: schema, names, memory, prices. Reports every problem with file, line and column.

    For example:

        servecast validate scenarios/quickstart.yaml
        servecast validate scenarios/quickstart.yaml --resolved

    Parameters
    ----------
    scenario
        Scenario file (YAML).
    overlay
        Partial scenario laid over it.
    set_
        Path=value assignments.
    resolved
        Print the merged scenario with the origin of each value.
    """
    from simulator.errors import Problem, collect
    from simulator.resolve.admissible import denied
    from simulator.resolve.apis import retired_words
    from simulator.resolve.idle_terms import idle_terms
    from simulator.resolve.open_thresholds import has_open_threshold
    from simulator.resolve.sizes import at_start, has_open_sizes
    from simulator.resolve.terms import resolve_terms
    from simulator.resolve.topology import changes_placed, check_catalog_names, plan_topologies
    from simulator.run.phases import check_events
    from simulator.scenario.load import load_scenario
    from simulator.scenario.resolved import resolved_yaml
    from simulator.simulate.capacity import load_warnings, offered_load

    loaded = load_scenario(scenario, overlay or (), set_ or ())
    later = check_events(loaded)
    check_catalog_names(loaded)
    planned = plan_topologies(at_start(loaded))
    priced = collect(resolve_terms, planned)
    if resolved:
        print(resolved_yaml(loaded), end="")
        return 0
    topologies, classes = len(planned), len(loaded.scenario.workload.classes)
    print(
        f"{scenario}: {topologies} {'topology' if topologies == 1 else 'topologies'}, "
        f"{classes} {'request class' if classes == 1 else 'request classes'}, no problems"
    )
    load = offered_load(loaded)
    for place in dict.fromkeys(change for topology in planned for change in changes_placed(topology)):
        print(f"! {place}")
    terms = {
        topology.name: [found.terms, *later.get(topology.name, ())]
        for topology, found in zip(planned, priced, strict=True)
    }
    for path, words in idle_terms(loaded.scenario, terms):
        print(f"! {Problem(words, *loaded.place(path), path=path)}")
    retired = (words for name in loaded.scenario.topologies for words in retired_words(loaded.scenario, name))
    for words in dict.fromkeys(retired):
        print(f"! {words}")
    for topology in planned:
        if no_target := denied(loaded, topology.fleet):
            print(f"! {topology.name}: misses the SLO at any size: {no_target}")
            continue
        written = loaded.scenario.topologies[topology.name]
        if has_open_sizes(written) or has_open_threshold(written):
            print(f"! {topology.name}: sizes, hours or thresholds are left open: run looks for them")
            continue
        for warning in load_warnings(load, topology):
            print(f"! {topology.name}: {warning}")
    return 0
