"""The pages, in the order of the questions that a planner asks: data that `dashboard.app` turns into a menu."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Page:
    """One view of the menu.

    Attributes
    ----------
    section : heading in the menu
    view : module below `dashboard.views` with `show(context)`; also the page's address
    question : what the view answers, as its subtitle
    needs_run : shown only with a run at hand; other views get None without one
    """

    section: str
    title: str
    icon: str
    view: str
    question: str
    needs_run: bool = True


PAGES = (
    Page("Decide", "Overview", "dashboard", "overview", "Which topology, and how sure?"),
    Page("Decide", "Compare", "compare_arrows", "compare", "Why do they differ?"),
    Page("Decide", "Pareto", "scatter_plot", "pareto", "What is the cheapest that meets the SLO?"),
    Page("Decide", "Sizing", "straighten", "sizing", "How many GPUs, for how long?"),
    Page("Money", "Cost", "payments", "cost", "Where does the money go?"),
    Page("Money", "Break-even", "balance", "break_even", "When does owning win?"),
    Page("Service", "Load", "stacked_line_chart", "load", "Does capacity follow demand?"),
    Page("Service", "Latency", "timer", "latency", "What do users feel?"),
    Page("Service", "Engine", "memory", "engine", "What does a step do?"),
    Page("Trust", "Calibration", "verified", "calibration", "May I trust it?", needs_run=False),
    Page("Try", "Start", "contact_support", "start", "What do I serve, to whom?", needs_run=False),
    Page("Try", "Scenario", "edit_note", "scenario", "Can I change it?", needs_run=False),
    Page("Try", "What-if", "tune", "what_if", "What if demand doubles, prices fall, a node dies?"),
    Page("Try", "Sweep", "grid_on", "sweep", "What if one value or two are others?"),
    Page("Take away", "Export", "download", "export", "Can I take it to the meeting?"),
)
