"""The benchmarks run, check themselves and write what the README shows; their numbers at this size mean nothing."""

import os
import subprocess
import sys

import pandas as pd
import pytest

from lib.paths import ROOT

TABLES = {
    "machine_interpretability": {
        "machine_interpretability_forward_pass": {"network", "units", "bare_seconds", "extremes_seconds", "scores_seconds", "ratio"},
        "machine_interpretability_unit_times": {"step", "microseconds", "microseconds_cpu", "units_timed"},
        "machine_interpretability_unit_ratios": {"ours", "against", "ratio", "ratio_cpu", "goal", "reached"},
    },
    "quantized_reversed_probing": {
        "quantized_reversed_probing_against_scikit_learn": {"step", "against", "seconds", "objective", "peak_megabytes", "ratio", "goal"},
        "quantized_reversed_probing_scaling": {"what", "changed", "value", "seconds"},
    },
    "inherent_interpretability": {
        "inherent_interpretability": {"against", "seconds", "their_seconds", "accuracy", "their_accuracy", "ratio", "goal", "reached"},
    },
    "attribution_scores": {"attribution_scores": {"what", "against", "seconds", "their_seconds", "ratio", "goal", "reached"}},
    "lico": {"lico": {"what", "against", "seconds", "their_seconds", "ratio", "goal", "reached"}},
    "scenes_rendering": {"scenes_rendering": {"size", "batch", "pictures_a_minute", "goal", "reached"}},
    "memory_of_extremes": {"memory_of_extremes": {"units", "pictures", "before", "streaming", "with_result", "state"}},
}
FIGURES = {
    "machine_interpretability": "machine_interpretability_speed",
    "memory_of_extremes": "memory_of_extremes",
    "quantized_reversed_probing": "quantized_reversed_probing_speed",
}


@pytest.mark.slow
@pytest.mark.parametrize("script", TABLES)
def test_a_benchmark_runs_and_writes_tables_with_the_machine_and_its_figure(script, tmp_path):
    command = [sys.executable, str(ROOT / "benchmarks" / f"{script}.py"), "--quick", "--folder", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_WAIT_POLICY": "PASSIVE"}, check=False)
    assert done.returncode == 0, done.stderr
    for name, columns in TABLES[script].items():
        table = pd.read_csv(tmp_path / "data" / "results" / "benchmarks" / f"{name}.csv")
        assert columns | {"processor", "cores", "torch_threads"} <= set(table.columns)
        assert (table.select_dtypes("number") >= 0).all(axis=None)
    for ending in ("png", "svg") if script in FIGURES else ():
        assert (tmp_path / "figures" / "benchmarks" / f"{FIGURES[script]}.{ending}").stat().st_size > 0
