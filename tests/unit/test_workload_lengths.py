"""Length distributions: ranges, means and files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from simulator.errors import InputError
from simulator.rng import stream
from simulator.workload.lengths import length_mean, length_sampler
from simulator.workload.spec import Constant, Empirical, Length, Lognormal, Uniform


@pytest.fixture
def lengths_csv(tmp_path: Path) -> Path:
    file = tmp_path / "lengths.csv"
    file.write_text("input_tokens,output_tokens\n10,1\n20,2\n60,3\n")
    return file


@pytest.mark.parametrize(
    "spec",
    [Constant(7), Uniform(3, 9), Lognormal(500.0, 1.2), Lognormal(300.0, 2.0, min=50, max=700), Lognormal(80.0, 0.0)],
)
def test_sample_mean_agrees_with_the_exact_mean(spec: Length) -> None:
    values = length_sampler(spec)(stream(1, "lengths"), 200_000)
    assert values.dtype == np.int32
    assert values.mean() == pytest.approx(length_mean(spec), abs=1e-9 + 4 * values.std() / np.sqrt(len(values)))


def test_lognormal_has_its_mean_and_cv_and_respects_its_limits() -> None:
    wide = length_sampler(Lognormal(1000.0, 0.8))(stream(2, "lengths"), 200_000)
    assert wide.mean() == pytest.approx(1000.0, rel=0.01)
    assert wide.std() / wide.mean() == pytest.approx(0.8, rel=0.02)
    narrow = length_sampler(Lognormal(1000.0, 0.8, min=600, max=1200))(stream(2, "lengths"), 1000)
    assert (narrow.min(), narrow.max()) == (600, 1200)


def test_uniform_reaches_both_ends_evenly() -> None:
    values, counts = np.unique(length_sampler(Uniform(3, 6))(stream(3, "lengths"), 40_000), return_counts=True)
    np.testing.assert_array_equal(values, [3, 4, 5, 6])
    assert np.abs(counts - 10_000).max() < 4 * np.sqrt(7500)


def test_empirical_draws_only_what_the_file_holds(lengths_csv: Path) -> None:
    spec = Empirical(lengths_csv, "input_tokens")
    assert set(length_sampler(spec)(stream(4, "lengths"), 500).tolist()) == {10, 20, 60}
    assert length_mean(spec) == 30.0


def test_empirical_reads_parquet(tmp_path: Path) -> None:
    pd.DataFrame({"osl": [4, 4, 10]}).to_parquet(tmp_path / "lengths.parquet")
    assert length_mean(Empirical(tmp_path / "lengths.parquet", "osl")) == 6.0


def test_unknown_column_names_the_closest(lengths_csv: Path) -> None:
    with pytest.raises(InputError, match="did you mean 'output_tokens'"):
        length_sampler(Empirical(lengths_csv, "output_token"))


def test_bad_values_are_listed_by_line(tmp_path: Path) -> None:
    file = tmp_path / "bad.csv"
    file.write_text("isl\n5\n0\nx\n2.5\n-1\n7\n")
    with pytest.raises(InputError) as caught:
        length_sampler(Empirical(file, "isl"))
    assert [(problem.line, problem.got) for problem in caught.value.problems] == [
        (3, "0"), (4, "x"), (5, "2.5"), (6, "-1")
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Constant(0), "constant.value"),
        (lambda: Lognormal(float("nan"), 1.0), "lognormal.mean"),
        (lambda: Lognormal(10.0, -1.0), "lognormal.cv"),
        (lambda: Uniform(9, 3), "uniform.high"),
        (lambda: length_sampler(Uniform(0, 3)), "whole tokens"),
        (lambda: length_sampler(Empirical("nowhere.csv", "isl")), "No such file"),
    ],
)
def test_impossible_lengths_are_refused(make: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()  # type: ignore[operator]
