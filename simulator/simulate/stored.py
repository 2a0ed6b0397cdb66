"""One replication, from the store where it was simulated before."""

from __future__ import annotations

from simulator.simulate.demand import Demand
from simulator.simulate.key import outcome_key
from simulator.simulate.one import Outcome, Progress, Subject, simulate_one
from simulator.simulate.store import Store


def stored_outcome(
    subject: Subject, demand: Demand, number: int, store: Store, progress: Progress | None = None
) -> Outcome:
    """Replication `number` of a fleet under a demand, to its end; for those who want no rows of its requests."""
    key = outcome_key(subject, demand, number)
    known = store.get(key)
    if isinstance(known, Outcome):
        return known
    outcome = simulate_one(subject, demand, number, progress=progress)
    store.put(key, outcome)
    return outcome
