"""What commands print of a trace, a memory plan and runs beside each other; how tables are laid out: by hand."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from simulator.cli import compare, output
from simulator.cli.memory_text import _groups, _shown
from simulator.cli.output import print_json, print_table, progress_bar
from simulator.cli.traces import _as_read, _busiest_rps, _pair, _source, _summary
from simulator.errors import InputError
from simulator.memory.cache import Group, Page
from simulator.money import shown_in
from simulator.report.paired import PairedFigure
from simulator.report.parts import GAP, folded, wrapped_cells
from simulator.workload.reading import WasRead

TRACE: dict[str, Any] = {
    "requests": 40,
    "duration_s": 25.0,
    "bin_s": 10.0,
    "counts": [20, 10, 10],
    "burstiness_cv": 1.236,
    "isl": {"mean": 1234.4, "p50": 1000},
    "osl": {"mean": 99.6},
    "prefix": None,
}


@pytest.mark.parametrize(
    ("counts", "duration_s", "rps"),
    [
        # 20 in 10 s, 10 in 10 s, 10 in what is left of 25 s: 5 s
        ([20, 10, 10], 25.0, 2.0),
        ([20, 10, 11], 25.0, 2.2),
        ([20, 9, 10], 25.0, 2.0),
        ([5], 2.0, 2.5),
        ([5, 0], 11.0, 0.5),
    ],
)
def test_the_busiest_bin_of_which_the_last_is_shorter(counts: list[int], duration_s: float, rps: float) -> None:
    found = {"requests": sum(counts), "duration_s": duration_s, "bin_s": 10.0, "counts": counts}
    assert _busiest_rps(found) == pytest.approx(rps)


def test_a_description_of_a_trace() -> None:
    assert _summary(TRACE) == [
        ["requests", "40"],
        ["duration [s]", "25.0"],
        ["rate [requests/s]", "1.6"],
        ["busiest 10 s [requests/s]", "2"],
        ["burstiness (cv of gaps, Poisson 1)", "1.24"],
        ["ISL mean [tokens]", "1,234"],
        ["ISL p50 [tokens]", "1,000"],
        ["OSL mean [tokens]", "100"],
        ["prompt blocks seen before", "not recorded"],
    ]
    assert _summary(TRACE | {"prefix": {"block_hit_ratio": 0.256}})[-1][1] == "26%"


def test_how_a_trace_was_read() -> None:
    plain = WasRead("azure", "date", None, 0, 0)
    assert _as_read(plain) == [["read as", "azure"], ["times in", "dates"]]
    whole = WasRead("table", "ms", 16, 1200, 3, 7, (("arrival_s", "at"),), 0.0)
    assert _as_read(whole) == [
        ["read as", "table"],
        ["times in", "ms"],
        ["arrival_s from", "at (guessed)"],
        ["tokens of a hashed block", "16"],
        ["left out: no output token", "1,200"],
        ["left out: labels in leave_out_classes", "3"],
        ["prompt tokens that a cache held", "0%"],
        ["rows out of order, sorted", "7"],
    ]


@pytest.mark.parametrize("text", ["arrival_s", "=at", "arrival_s=", "arival_s=at", ""])
def test_columns_that_name_nothing_are_refused(text: str) -> None:
    with pytest.raises(InputError) as refused:
        _pair(text)
    assert str(refused.value).startswith("--column")
    assert "arrival_s" in str(refused.value), "what may be meant is said"


def test_columns_may_have_an_equals_sign() -> None:
    assert _pair("arrival_s=a=b") == ("arrival_s", "a=b")


def test_a_trace_of_ones_own_is_not_published() -> None:
    own = _source(Path("dir/mine.csv"), None)
    assert (own.name, own.file, own.licence, own.format) == ("mine", "mine.csv", "not published", "table")
    with pytest.raises(InputError, match="--source"):
        _source(Path("mine.csv"), "nobody")


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, ""), (1234.567, "1,234.57"), (1234, "1,234"), ("words", "words"), (0.0, "0.00"), (0, "0"), (-0.5, "-0.50")],
)
def test_a_value_of_a_start_up_log(value: Any, text: str) -> None:
    assert _shown(value) == text


def test_kv_groups_that_are_alike_are_a_line() -> None:
    def group(kind: Any, tokens: int, layers: int) -> Group:
        return Group(Page(kind, 0, tokens, 1, 1), tuple(range(layers)), (1,) * layers)

    found = _groups((group("window", 16, 5), group("full", 16, 5), group("window", 16, 5), group("window", 32, 5)))
    assert found == [("window", 2, 5, 16), ("full", 1, 5, 16), ("window", 1, 5, 32)]
    assert _groups((group("full", 16, 5), group("full", 16, 6))) == [("full", 1, 5, 16), ("full", 1, 6, 16)]
    assert _groups(()) == []


def run(name: str, currency: Any = None, *topologies: str) -> Any:
    summary = {"order": list(topologies), "topologies": {one: {"of": f"{name}/{one}"} for one in topologies}}
    return SimpleNamespace(path=Path(name), summary=summary | ({"currency": currency} if currency else {}))


EUR = {"code": "EUR", "usd_per_unit": 1.25, "date": "2026-01-02", "source": "ECB"}


def test_runs_are_compared_in_their_currency_where_it_is_one() -> None:
    other = EUR | {"usd_per_unit": 1.5}
    assert compare._currency([run("a", EUR), run("b", EUR)]) == EUR
    assert compare._currency([run("a", EUR), run("b")]) is None
    assert compare._currency([run("a"), run("b")]) is None
    assert compare._currency([run("a", EUR), run("b", other)]) is None
    assert compare._rate([run("a"), run("b")]) == ""
    with shown_in(EUR):
        assert compare._rate([run("a", EUR)]).startswith("Amounts in EUR at 1.25 USD per EUR of 2026-01-02 (ECB)")
    assert "so amounts are compared in USD" in compare._rate([run("a", EUR), run("b", other)])


def test_topologies_are_called_by_their_runs_where_there_are_several() -> None:
    one, other = run("a", None, "own", "api"), run("b", None, "own")
    assert list(compare._topologies([one])) == ["own", "api"]
    found = compare._topologies([one, other])
    assert {name: summary["of"] for name, summary in found.items()} == {
        "a/own": "a/own",
        "a/api": "a/api",
        "b/own": "b/own",
    }


@pytest.mark.parametrize(
    ("alike", "baseline", "groups"),
    [
        (True, "", {"a/own": ["a/own", "a/api", "b/own", "b/api"]}),
        (True, "b/own", {"b/own": ["a/own", "a/api", "b/own", "b/api"]}),
        (False, "", {"a/own": ["a/own", "a/api"], "b/own": ["b/own", "b/api"]}),
        (False, "b/api", {"a/own": ["a/own", "a/api"], "b/api": ["b/own", "b/api"]}),
    ],
)
def test_only_what_served_the_same_requests_is_paired(
    alike: bool, baseline: str, groups: dict[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("simulator.report.paired.same_requests", lambda read: alike)
    read = [run("a", None, "own", "api"), run("b", None, "own", "api")]
    found = compare._paired(read, compare._topologies(read), baseline)
    assert {base: list(group) for base, group in found.items()} == groups


def test_a_topology_alone_is_paired_with_nobody_and_an_unknown_one_refused() -> None:
    alone = [run("a", None, "own")]
    assert compare._paired(alone, compare._topologies(alone), "") == {}
    with pytest.raises(InputError, match="--baseline"):
        compare._paired(alone, compare._topologies(alone), "owm")


def test_differences_for_programs_have_their_baseline() -> None:
    found = PairedFigure("own", "ttft_p99_s", "TTFT p99 [ms]", 3.0, 0.5, 20.0)
    assert compare._pair(found, "api") == {
        "topology": "own",
        "baseline": "api",
        "figure": "TTFT p99 [ms]",
        "difference": 3.0,
        "half_width": 0.5,
        "baseline_mean": 20.0,
    }


def test_long_values_are_cut_after_sixty_letters() -> None:
    assert compare._cell("x" * 60) == "x" * 60
    assert compare._cell("x" * 61) == "x" * 60 + "…"
    assert compare._cell(2.5) == "2.5"


def test_words_stand_left_and_figures_right(capsys: pytest.CaptureFixture[str]) -> None:
    """A column whose cells all begin with a letter and have a space is words; the first always is."""
    print_table([["1", "12", "one two", "one"], ["22", "3", "three four", ""]], ["a", "n", "words", "name"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[2].split() == ["1", "12", "one", "two", "one"]
    assert lines[2].startswith("1 ")
    assert lines[3].index("3") == lines[2].index("12") + 1
    assert lines[2].index("one two") == lines[3].index("three four")
    assert lines[2].endswith(" one")
    assert lines[2].rindex("one") + 3 == len(lines[1]), "a single word is no sentence"


@pytest.mark.parametrize(("width", "parts"), [(13, [[0, 1], [0, 2]]), (17, [[0, 1], [0, 2]]), (18, [[0, 1, 2]])])
def test_a_table_is_folded_where_its_columns_do_not_fit(width: int, parts: list[list[int]]) -> None:
    """Columns of 4, 5 and 5 letters with two gaps of two take 18."""
    assert len(GAP) == 2
    assert folded([["aaaa", "bbbbb", "ccccc"]], ["a", "b", "c"], width) == parts


def test_cells_are_wrapped_beside_the_first_column_but_never_below_twelve() -> None:
    cell = "one two three four five"
    assert wrapped_cells([["aaaa", cell]], ["a", "b"], 24) == [["aaaa", "one two three four\nfive"]]
    assert wrapped_cells([["aaaa", cell]], ["a", "b"], 5) == [["aaaa", "one two\nthree four\nfive"]]
    assert wrapped_cells([["aaaa", "onetwo three four"]], ["a", "b"], 5) == [["aaaa", "onetwo three\nfour"]]
    assert wrapped_cells([["aaaa", cell]], ["a", "b"], 29) == [["aaaa", cell]]
    assert wrapped_cells([["a a a a a a a a a", 3]], ["a", "b"], 5) == [["a a a a a a a a a", "3"]]


@pytest.mark.parametrize(("encoding", "text"), [("utf-8", '"é"'), ("UTF-8", '"é"'), ("ascii", '"\\u00e9"')])
def test_json_is_sorted_and_in_escapes_where_letters_are_missing(
    encoding: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr(sys, "stdout", stream)
    print_json({"b": 1, "a": "é"})
    stream.flush()
    assert stream.buffer.getvalue().decode(encoding) == f'{{\n "a": {text},\n "b": 1\n}}\n'  # type: ignore[attr-defined]


def test_a_line_of_progress_comes_after_five_seconds_and_not_before(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with progress_bar(False, lambda: now[0]) as tell:
        for at_s, share in ((104.9, 0.1), (105.0, 0.115), (109.9, 0.3), (110.0, 0.6)):
            now[0] = at_s
            tell("x", share)
    # from 0.1 at 104.9 s on: 0.5 in 5.1 s, so the rest of 0.4 takes 4.08 s; before 2 % are done no time is told
    assert sys.stderr.getvalue().splitlines() == [" 12% x", " 60% x, about 4 s left"]
    assert output.LINE_EVERY_S == 5.0
