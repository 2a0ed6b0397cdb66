"""A trace and a simulated time that do not fit are named with both numbers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from simulator.run.remarks import beyond_the_trace, replaced_lengths
from simulator.workload.spec import ClassWorkload, Constant, Poisson, Trace, WorkloadSpec


def spec(tmp_path: Path) -> WorkloadSpec:
    file = tmp_path / "t.csv"
    rows = [f"{k},100,10" for k in range(60)]
    file.write_text("\n".join(["arrival_s,input_tokens,output_tokens", *rows]) + "\n")
    return WorkloadSpec((ClassWorkload("chat", Trace(file)),))


def changed(workload: WorkloadSpec, **values: object) -> WorkloadSpec:
    (cls,) = workload.classes
    return WorkloadSpec((replace(cls, arrivals=replace(cls.arrivals, **values)),))  # type: ignore[type-var]


def test_a_trace_that_ends_early_is_named_with_both_numbers(tmp_path: Path) -> None:
    (text,) = beyond_the_trace(spec(tmp_path), 600.0)
    assert "ends at 60 s, 10.00% of the 600 s simulated" in text
    (faster,) = beyond_the_trace(changed(spec(tmp_path), rate_scale=2.0), 60.0)
    assert "ends at 30 s, 50.00% of the 60 s simulated" in faster


def test_rows_after_the_simulated_time_are_counted(tmp_path: Path) -> None:
    (text,) = beyond_the_trace(spec(tmp_path), 45.0)
    assert text.startswith("15 of 60 rows of the trace of chat come after the 45 s simulated")


def test_a_trace_that_fits_or_loops_needs_no_word(tmp_path: Path) -> None:
    assert beyond_the_trace(spec(tmp_path), 60.0) == []
    assert beyond_the_trace(changed(spec(tmp_path), loop=True), 600.0) == []


def test_lengths_that_replace_those_of_a_trace_are_told() -> None:
    trace, own = Trace("log.csv"), Constant(9)
    classes = (
        ClassWorkload("own", trace, own, own),
        ClassWorkload("recorded", trace),
        ClassWorkload("drawn", Poisson(1.0), own, own),
    )
    (text,) = replaced_lengths(WorkloadSpec(classes))
    assert text == "the lengths of own are those of the class: they replace those of its trace"
