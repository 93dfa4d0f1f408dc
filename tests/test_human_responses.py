"""From answers to scores: closed forms, recovery of what was planted, the filter row by row, bad input."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats

from lib.human_responses import (
    READINGS,
    compare,
    fit_temperature,
    human_interpretability,
    load_responses,
    model_scores,
    noise_ceiling,
    simulate_responses,
    split_half_reliability,
)


def answer(**changes):
    return {"model": "googlenet", "layer": "mixed4a", "channel": 3, "batch": 0, "mode": "natural", "correct": True, "is_demo": False,
            "catch_trial": False, **changes}


def scores(values, models=1):
    """A table of units, dealt to models in turn."""
    channel = np.arange(len(values))
    return pd.DataFrame({"model": [f"model{i % models}" for i in channel], "layer": "layer", "channel": channel, "score": values})


# Reading

def test_a_table_survives_the_way_through_a_file(tmp_path):
    table = simulate_responses(np.full((3, 4), 0.5), answers_per_unit=6)
    table.to_csv(tmp_path / "responses.csv", index=False)
    pd.testing.assert_frame_equal(load_responses(tmp_path / "responses.csv"), table, check_dtype=False)
    assert load_responses(tmp_path / "responses.csv")[["channel", "batch"]].dtypes.astype(str).tolist() == ["Int64", "Int64"]


def test_demo_and_catch_rows_may_lack_a_unit_and_other_columns_are_kept(tmp_path):
    rows = [answer(rt=1200, confidence=3), answer(is_demo=True, layer="", channel="", batch=""),
            answer(catch_trial=True, channel="", mode="catch_trial")]
    pd.DataFrame(rows).to_csv(tmp_path / "responses.csv", index=False)
    table = load_responses(tmp_path / "responses.csv")
    assert table["channel"].isna().tolist() == [False, True, True]
    assert table["rt"].iloc[0] == "1200.0"
    assert len(human_interpretability(table)) == 1


@pytest.mark.parametrize(("changes", "message"), [
    ({"correct": "maybe"}, "column correct: found 'maybe' in row 2 .*; expected True or False"),
    ({"is_demo": ""}, "column is_demo: found '' in row 2"),
    ({"channel": "12.5"}, "column channel: found '12.5' in row 2 .*; expected whole numbers"),
    ({"channel": ""}, "column channel: found '' in row 2"),
    ({"batch": -1}, "column batch: found '-1' in row 2"),
    ({"batch": "first"}, "column batch: found 'first' in row 2"),
    ({"layer": ""}, "column layer: found '' in row 2 .*; expected a name"),
])
def test_bad_values_are_named(tmp_path, changes, message):
    pd.DataFrame([answer(), answer(**changes)]).to_csv(tmp_path / "responses.csv", index=False)
    with pytest.raises(ValueError, match=message):
        load_responses(tmp_path / "responses.csv")


def test_missing_columns_are_named(tmp_path):
    pd.DataFrame([answer()]).drop(columns=["correct", "batch"]).to_csv(tmp_path / "responses.csv", index=False)
    with pytest.raises(ValueError, match="found no column batch, correct; expected model, layer"):
        load_responses(tmp_path / "responses.csv")
    with pytest.raises(ValueError, match="responses: found no column model"):
        human_interpretability(pd.DataFrame({"correct": [True]}))


# Scores

def test_only_the_rows_of_the_study_count():
    wrong = [answer(correct=False, is_demo=True), answer(correct=False, catch_trial=True), answer(correct=False, mode="optimized"),
             answer(correct=False, mode="catch_trial"), answer(correct=False, model="resnet50_hard95")]
    table = human_interpretability(pd.DataFrame([answer(), answer(), answer(correct=False), answer(channel=4, correct=False), *wrong]))
    assert table.to_dict("list") == {
        "model": ["googlenet"] * 2, "layer": ["mixed4a"] * 2, "channel": [3, 4], "score": [2 / 3, 0.0], "answers": [3, 1]}
    with pytest.raises(ValueError, match="found no answer that counts among 5"):
        human_interpretability(pd.DataFrame(wrong))


def test_units_are_told_apart_by_model_layer_and_channel():
    rows = [answer(), answer(model="resnet50"), answer(layer="mixed4b"), answer(channel=9)]
    assert len(human_interpretability(pd.DataFrame(rows))) == 4


def test_model_scores_are_means_over_units_with_the_standard_error_of_a_mean():
    values = np.random.default_rng(0).random(400)
    table = model_scores(scores(values, models=2), resamples=2000)
    assert table["model"].tolist() == ["model0", "model1"]
    assert table["units"].tolist() == [200, 200]
    for row, part in zip(table.itertuples(), (values[::2], values[1::2]), strict=True):
        assert row.score == pytest.approx(part.mean())
        half_width = 1.96 * part.std() / np.sqrt(200)
        # 2,000 resamples give a 97.5 % point to about 3.5 % of a half width, here three times that.
        np.testing.assert_allclose([row.score - row.low, row.high - row.score], half_width, rtol=0.12)


# Simulated answers

def test_simulated_answers_have_the_planted_probabilities():
    probabilities = np.random.default_rng(0).random((200, 5))
    table = simulate_responses(probabilities, answers_per_unit=500)
    found = table.groupby(["channel", "batch"])["correct"].agg(["mean", "size"])
    assert (found["size"] == 100).all()
    z = (found["mean"].to_numpy() - probabilities.ravel()) / np.sqrt(probabilities * (1 - probabilities) / 100).ravel()
    assert abs(z.std() - 1) < 0.1           # 1,000 values: standard error 0.022
    assert abs(z.mean()) < 0.1


def test_simulated_answers_belong_to_unit_and_answer():
    probabilities = np.full((6, 4), 0.5)
    whole, first = simulate_responses(probabilities), simulate_responses(probabilities[:3])
    pd.testing.assert_frame_equal(whole[: len(first)], first)
    assert not simulate_responses(probabilities, seed=1)["correct"].equals(whole["correct"])
    units = pd.DataFrame({"model": list("aabbcc"), "layer": "x", "channel": [5, 6, 5, 6, 5, 6]})
    named = simulate_responses(probabilities, tasks=3, units=units)
    assert set(named["batch"]) == {0, 1, 2}
    pd.testing.assert_frame_equal(human_interpretability(named)[["model", "layer", "channel"]], units, check_dtype=False)


# Reliability and ceilings

def planted_units(count=3000, seed=0):
    """Probabilities spread like human scores, and the reliability of means of n coin flips: V / (V + e)."""
    p = np.random.default_rng(seed).beta(8, 2, count)
    return p, lambda n: p.var() / (p.var() + (p * (1 - p)).mean() / n)


def test_split_half_finds_the_analytic_reliability():
    p, analytic = planted_units()
    result = split_half_reliability(simulate_responses(p[:, None]), repeats=50)
    # Standard error of a correlation of 3,000 pairs near r: (1 - r^2) / sqrt(3000); four of them.
    assert result.half_correlation == pytest.approx(analytic(15), abs=4 * (1 - analytic(15) ** 2) / np.sqrt(3000))
    assert result.reliability == pytest.approx(analytic(30), abs=0.03)
    assert result.ceiling == pytest.approx(np.sqrt(analytic(30)), abs=0.015)
    assert result.interval[0] < result.reliability < result.interval[1]
    assert (result.units, result.repeats) == (3000, 50)


def test_ceiling_is_what_a_perfect_predictor_reaches():
    p, _ = planted_units(seed=1)
    answers = simulate_responses(p[:, None])
    reached = np.corrcoef(p, human_interpretability(answers)["score"])[0, 1]
    assert split_half_reliability(answers, repeats=30).ceiling == pytest.approx(reached, abs=0.02)


def test_split_half_against_a_slow_reference():
    table = simulate_responses(np.random.default_rng(3).beta(2, 2, (40, 1)), answers_per_unit=7)
    rng, halves = np.random.default_rng(5), []
    for _ in range(400):
        pairs = []
        for _, unit in table.groupby("channel"):
            mixed = rng.permutation(unit["correct"].to_numpy())
            pairs.append((mixed[:3].mean(), mixed[3:].mean()))
        halves.append(np.corrcoef(np.array(pairs).T)[0, 1])
    result = split_half_reliability(table, repeats=400)
    assert result.half_correlation == pytest.approx(np.mean(halves), abs=4 * np.std(halves) * np.sqrt(2 / 400))


def test_split_half_skips_units_with_one_answer_and_needs_three():
    rows = [answer(channel=c, correct=bool(c % 2)) for c in range(4) for _ in range(4)]
    result = split_half_reliability(pd.DataFrame([*rows, answer(channel=99)]), repeats=5)
    assert result.units == 4
    assert result.reliability == pytest.approx(1)
    with pytest.raises(ValueError, match="found 2 units with two answers or more; expected at least three"):
        split_half_reliability(pd.DataFrame(rows[:8]))
    with pytest.raises(ValueError, match="found the same score for every unit"):
        split_half_reliability(pd.DataFrame([answer(channel=c) for c in range(4) for _ in range(4)]))


def test_both_readings_of_the_noise_ceiling_match_their_closed_form():
    p, _ = planted_units(count=800)
    people = human_interpretability(simulate_responses(p[:, None]))["score"]
    table = noise_ceiling(people, p, simulations=200)
    assert table["reading"].tolist() == list(READINGS)
    np.testing.assert_allclose(table["value"], table["closed_form"], atol=0.005)
    # The first reading calls the scatter of people's scores true variance, so it lies above what a perfect predictor reaches.
    reached = np.corrcoef(people, p)[0, 1]
    assert table["value"][0] > reached + 0.02
    assert table["value"][1] == pytest.approx(reached, abs=0.03)
    assert (table["low"] < table["value"]).all()
    assert (table["value"] < table["high"]).all()


def test_more_answers_lift_the_ceiling():
    p, _ = planted_units(count=300)
    values = [noise_ceiling(p, p, answers=n, simulations=50)["value"][1] for n in (3, 30, 3000)]
    assert values[0] < values[1] < values[2]
    assert values[2] > 0.995


# Comparison

def test_comparison_over_units_and_models():
    rng = np.random.default_rng(0)
    machine = scores(rng.random(90), models=9)
    noisy = machine.assign(score=machine["score"] + 0.3 * rng.standard_normal(90))
    table = compare(machine, noisy.sample(frac=1, random_state=0), reliability=0.81).set_index(["level", "kind"])
    assert table.loc[("unit", "pearson"), "value"] == pytest.approx(stats.pearsonr(machine["score"], noisy["score"]).statistic)
    assert table.loc[("unit", "spearman"), "value"] == pytest.approx(stats.spearmanr(machine["score"], noisy["score"]).statistic)
    means = [frame.groupby("model")["score"].mean() for frame in (machine, noisy)]
    assert table.loc[("model", "pearson"), "value"] == pytest.approx(stats.pearsonr(*means).statistic)
    assert table["count"].tolist() == [90, 90, 9, 9]
    assert (table["low"] <= table["value"]).all()
    assert (table["value"] <= table["high"]).all()
    assert table.loc[("unit", "pearson"), "disattenuated"] == pytest.approx(table.loc[("unit", "pearson"), "value"] / 0.9)
    assert table["disattenuated"].isna().tolist() == [False, True, True, True]


def test_disattenuation_recovers_the_correlation_with_true_scores():
    p, analytic = planted_units()
    machine = np.clip(p + 0.1 * np.random.default_rng(2).standard_normal(len(p)), 0, 1)
    people = human_interpretability(simulate_responses(p[:, None])).assign(model="model0")
    table = compare(scores(machine), people, reliability=analytic(30), resamples=50)
    # Standard error of r about (1 - r^2) / sqrt(3000) = 0.01.
    assert table["disattenuated"][0] == pytest.approx(np.corrcoef(machine, p)[0, 1], abs=0.03)


def test_units_of_one_side_only_are_left_out():
    table = compare(scores(np.arange(10) / 10), scores(np.arange(6) / 10), resamples=20)
    assert table["count"][0] == 6
    assert table["value"][0] == pytest.approx(1)


@pytest.mark.parametrize(("machine", "people", "options", "message"), [
    (scores([0.1]).drop(columns="layer"), scores([0.1]), {}, "machine: found no column layer"),
    (scores([0.1]), pd.concat([scores([0.1]), scores([0.2])]), {}, "people: found the unit model0, layer, 0 twice"),
    (scores([0.1]), scores([0.1]).assign(layer="other"), {}, "found no unit that is in both"),
    (scores([0.1]), scores([0.1]), {"reliability": 1.2}, r"reliability: found 1.2; expected a number in \(0, 1\]"),
])
def test_bad_comparisons_are_named(machine, people, options, message):
    with pytest.raises(ValueError, match=message):
        compare(machine, people, **options)


# The temperature

def logistic_answers(tau, count, seed=0):
    rng = np.random.default_rng(seed)
    deltas = rng.normal(0.2, 0.25, count)
    return deltas, rng.random(count) < 1 / (1 + np.exp(-deltas / tau))


def test_temperature_has_a_closed_form_for_equal_deltas():
    # Share q of right answers at one Delta: sigmoid(Delta / tau) = q.
    correct = np.arange(100) < 80
    tau, (low, high) = fit_temperature(np.full(100, 0.3), correct)
    assert tau == pytest.approx(0.3 / np.log(0.8 / 0.2), rel=1e-6)
    # The ends of the interval lose 3.841 / 2 of log-likelihood.
    for end in (low, high):
        q = 1 / (1 + np.exp(-0.3 / end))
        loss = 80 * np.log(0.8 / q) + 20 * np.log(0.2 / (1 - q))
        assert loss == pytest.approx(stats.chi2.ppf(0.95, 1) / 2, rel=1e-4)
    assert low < tau < high


@given(st.integers(0, 2**32 - 1), st.floats(0.01, 10))
@settings(max_examples=25, deadline=None)
def test_temperature_matches_an_independent_optimiser_and_scales(seed, unit):
    deltas, correct = logistic_answers(0.16, 300, seed)
    tau, interval = fit_temperature(deltas, correct)
    sign = np.where(correct, 1, -1)
    reference = optimize.minimize_scalar(lambda t: np.logaddexp(0, -sign * deltas / np.exp(t)).sum(), bounds=(-6, 3), method="bounded")
    assert tau == pytest.approx(np.exp(reference.x), rel=1e-3)
    scaled, scaled_interval = fit_temperature(unit * deltas, correct)
    np.testing.assert_allclose([scaled, *scaled_interval], unit * np.array([tau, *interval]), rtol=1e-6)


def test_the_interval_covers_the_true_temperature():
    covered = 0
    for seed in range(200):
        low, high = fit_temperature(*logistic_answers(0.16, 250, seed))[1]
        covered += low <= 0.16 <= high
    assert 181 <= covered <= 198        # binomial(200, 0.95): 190, three standard deviations of 3.1


def test_temperature_and_ceiling_come_back_from_simulated_people():
    # T14: a machine that is right about people, 400 units of 11 tasks, 30 answers each.
    rng = np.random.default_rng(7)
    deltas = rng.normal(0.25, 0.2, (400, 1)) + rng.normal(0, 0.1, (400, 11))
    responses = simulate_responses(1 / (1 + np.exp(-deltas / 0.16)))
    tau, (low, high) = fit_temperature(deltas[responses["channel"].to_numpy(int), responses["batch"].to_numpy(int)], responses["correct"])
    assert low < 0.16 < high
    assert high - low < 0.02
    assert low < tau < high
    machine = scores((1 / (1 + np.exp(-deltas / tau))).mean(1)).assign(model="simulated")
    reliability = split_half_reliability(responses, repeats=50)
    result = compare(machine, human_interpretability(responses), reliability=reliability.reliability, resamples=50)
    assert result["value"][0] == pytest.approx(reliability.ceiling, abs=0.03)
    assert result["disattenuated"][0] == pytest.approx(1, abs=0.03)


def test_answers_that_may_be_unrelated_have_no_upper_limit():
    tau, (low, high) = fit_temperature(np.array([0.1, 0.1, -0.1, 0.2]), np.ones(4, bool))
    assert low < tau < high
    assert high == np.inf


@pytest.mark.parametrize(("deltas", "correct", "message"), [
    (np.ones((2, 2)), np.ones((2, 2)), r"found shapes \(2, 2\) and \(2, 2\)"),
    (np.ones(3), np.ones(2), r"found shapes \(3,\) and \(2,\)"),
    (np.array([np.nan, 1.0]), np.ones(2), "deltas finite"),
    (np.ones(2), np.array([0.5, 1.0]), "found values other than True and False"),
    (np.array([0.1, -0.2]), np.array([True, False]), "found all 2 answers as the deltas say"),
    (np.array([0.1, 0.2]), np.array([True, False]), "go against the deltas"),
])
def test_bad_deltas_are_named(deltas, correct, message):
    with pytest.raises(ValueError, match=message):
        fit_temperature(deltas, correct)


@pytest.mark.parametrize(("probabilities", "options", "message"), [
    (np.ones(3), {}, r"task_probabilities: found shape \(3,\)"),
    (np.full((2, 2), 1.1), {}, r"task_probabilities: .* values in \[0, 1\]"),
    (np.full((2, 2), np.nan), {}, "task_probabilities"),
    (np.ones((2, 2)), {"tasks": 3}, "tasks: found 3; expected 1 to 2"),
    (np.ones((2, 2)), {"answers_per_unit": 0}, "answers_per_unit: found 0"),
    (np.ones((2, 2)), {"units": pd.DataFrame({"model": ["a"]})}, "units: found 1 rows; expected 2"),
])
def test_bad_simulations_are_named(probabilities, options, message):
    with pytest.raises(ValueError, match=message):
        simulate_responses(probabilities, **options)


def test_bad_ceilings_are_named():
    with pytest.raises(ValueError, match="machine: found shape"):
        noise_ceiling([0.1, 0.2, 0.3], [0.5, 0.5, 0.5])
    with pytest.raises(ValueError, match="people: found shape"):
        noise_ceiling([0.1, 0.2, 1.3], [0.1, 0.2, 0.3])
