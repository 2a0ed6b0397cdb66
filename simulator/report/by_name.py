"""Charts of a run by their names, as Altair objects."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from simulator.errors import InputError, Problem, unknown_name
from simulator.money import shown_in
from simulator.report import charts
from simulator.report.cost_charts import basis_words, cumulative_spending, items, line_items
from simulator.report.decision_charts import months_chart
from simulator.report.paired import differences_chart, paired
from simulator.report.table import baseline, ordered
from simulator.report.time_charts import load_over_time, load_tables
from simulator.results.bundle import Bundle, read_bundle
from simulator.run.simulate import Run

if TYPE_CHECKING:
    import altair as alt

Draw = Callable[[Bundle, charts.Summaries, Sequence[str]], Any]


def chart(run: Run | Bundle, name: str, topologies: Sequence[str] = ()) -> alt.TopLevelMixin:
    """A chart of a run, to show, change and save (`chart.save("ttft.png")`).

    Parameters
    ----------
    name : `overview`, `costs`, `spending`, `ttft`, `tpot`, `e2e`, `differences`, `months` or `load`
    topologies : all unless given; `load` shows one alone, the first

    Raises
    ------
    InputError : no such chart or topology
    TypeError : one topology where a list of them belongs
    """
    if isinstance(topologies, str):
        raise TypeError(f"topologies is a list: put a single one in brackets, as topologies=[{topologies!r}]")
    bundle = run if isinstance(run, Bundle) else read_bundle(run.bundle)
    known = ordered(bundle.summary)
    wrong = [unknown_name("topology", each, known) for each in topologies if each not in known]
    if name not in _DRAWN:
        wrong.append(unknown_name("chart", name, _DRAWN))
    if wrong:
        raise InputError(*map(Problem, wrong))
    shown = {each: known[each] for each in topologies or known}
    with shown_in(bundle.summary.get("currency")):
        drawn: alt.TopLevelMixin = _DRAWN[name](bundle, shown, list(known))
    return drawn


def _costs(bundle: Bundle, shown: charts.Summaries, names: Sequence[str]) -> Any:
    return line_items(items(bundle.table("costs"), shown, "month"), list(shown), basis_words("month"))


def _differences(bundle: Bundle, shown: charts.Summaries, names: Sequence[str]) -> Any:
    best = baseline(shown)
    return differences_chart(paired(shown, best), best, list(shown))


def _load(bundle: Bundle, shown: charts.Summaries, names: Sequence[str]) -> Any:
    name = next(iter(shown))
    return load_over_time(load_tables(bundle.table, name, shown[name])).properties(title=name)


_DRAWN: dict[str, Draw] = {
    "overview": lambda bundle, shown, names: charts.cost_against_attainment(shown),
    "costs": _costs,
    "spending": lambda bundle, shown, names: cumulative_spending(shown, names),
    "ttft": lambda bundle, shown, names: charts.latency(shown, "ttft_s", "Time to first token"),
    "tpot": lambda bundle, shown, names: charts.latency(shown, "tpot_s", "Time per output token"),
    "e2e": lambda bundle, shown, names: charts.latency(shown, "e2e_s", "End to end"),
    "differences": _differences,
    "months": lambda bundle, shown, names: months_chart(bundle.decision, names, list(shown)),
    "load": _load,
}
