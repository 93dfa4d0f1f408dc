"""Scores of attribution maps against closed forms, a slow reference, invariances and bad input."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from lib.attribution.maps import aggregate, unit_maps
from lib.attribution.normalisation import normalised
from lib.attribution.sites import PICTURE
from lib.attribution.strategies import GRADIENT
from lib.experiments.attribution_scores.planted import RegionCode, evenly_mixed, pictures_of, randomly_mixed, strips, turned
from lib.measures.attribution_scores import (
    _informativeness,
    attribution_scores,
    disentanglement,
    informativeness,
    mean_overlap,
    scale_free_disentanglement,
    spatial_selectivity,
    unit_overlap,
)  # fmt: skip
from lib.measures.known_factors import dci, mutual_information_gap


def maps_of(mixing, side=8):
    """Maps of a linear code of strips, one picture; the gradient is the weights, whatever the picture."""
    regions = strips(np.asarray(mixing).shape[1], side)
    return torch.as_tensor(np.abs(np.tensordot(mixing, regions, 1)))[None]


def random_maps(seed, n=3, units=4, side=5):
    return torch.as_tensor(np.random.default_rng(seed).exponential(size=(n, units, side, side)))


def copies(mixing):
    return np.concatenate([np.asarray(mixing)] * 2)


# The rotation table of the specification, section 6.2


@pytest.mark.parametrize(("mixing", "raw", "scaled", "free"), [
    (np.eye(2), 0.25, 0.25, 1),
    (np.eye(4), 0.1875, 0.1875, 1),
    (np.eye(8), 7 / 64, 7 / 64, 1),
    (np.array([[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1], [0, 0, 1, 1]]), 0.25, 0.25, 2 / 3),
    (np.ones((4, 4)), 0, 0, 0),
    (np.vstack([np.eye(4), np.zeros((4, 4))]), 7 / 64, 7 / 64, None),
    (evenly_mixed(2), 0, 0, 0), (evenly_mixed(4), 0, 0, 0), (evenly_mixed(8), 0, 0, 0),
], ids=["2", "4", "8", "two pairs of copies", "all the same", "4 and 4 dead", "mixed 2", "mixed 4", "mixed 8"])  # fmt: skip
def test_regions_have_the_scores_of_the_table(mixing, raw, scaled, free):
    maps = maps_of(mixing)
    assert disentanglement(maps).item() == pytest.approx(raw, abs=1e-14)
    assert disentanglement(maps, rule="min-max").item() == pytest.approx(scaled, abs=1e-14)
    if free is None:  # dead units have to go first
        assert attribution_scores(maps.repeat(2, 1, 1, 1), maps.repeat(3, 1, 1, 1)).disentanglement.value == pytest.approx(1)
    else:
        assert scale_free_disentanglement(maps).item() == pytest.approx(free, abs=1e-14)
        assert scale_free_disentanglement(maps, weighting="uniform").item() == pytest.approx(free, abs=1e-14)


@pytest.mark.parametrize(("d", "raw", "scaled", "free"), [  # means and standard deviations, as they are rounded there
    (2, (0.085, 0.076), (0.25, 0), (0.34, 0.30)), (4, (0.066, 0.020), (0.154, 0.011), (0.35, 0.11)),
    (8, (0.040, 0.005), (0.113, 0.008), (0.36, 0.05)),
])  # fmt: skip
def test_random_rotations_have_the_means_of_the_table(d, raw, scaled, free):
    maps = torch.cat([maps_of(randomly_mixed(d, seed)) for seed in range(200)])
    for (mean, spread), rounding, found in (
        (raw, 5e-4, disentanglement(maps)), (scaled, 5e-4, disentanglement(maps, rule="min-max")),
        (free, 5e-3, scale_free_disentanglement(maps)),
    ):  # fmt: skip
        # Two samples of 200 rotations, theirs and ours: four standard errors of the difference of their means and of their spreads.
        assert found.mean().item() == pytest.approx(mean, abs=4 * spread * np.sqrt(2 / 200) + rounding)
        assert found.std().item() == pytest.approx(spread, abs=4 * spread * np.sqrt(2 / 400) + rounding)


ANGLES = np.arange(6) * np.pi / 20


def test_turning_lowers_the_scores_as_in_the_table():
    factors = np.random.default_rng(0).random((40_000, 4))
    rows = []
    for angle in ANGLES:
        maps = maps_of(turned(angle))
        importance = dci(np.abs(turned(angle)))
        code = factors @ turned(angle).T
        rows.append([disentanglement(maps).item() / 0.1875, scale_free_disentanglement(maps).item(),
                     disentanglement(maps, rule="min-max").item() / 0.1875, importance.disentanglement, importance.completeness,
                     mutual_information_gap(code, factors)])  # fmt: skip
    found = np.array(rows).T
    for number, expected in {
        0: [1, 0.762, 0.493, 0.242, 0.064, 0], 1: [1, 0.762, 0.493, 0.242, 0.064, 0], 3: [1, 0.424, 0.196, 0.078, 0.018, 0],
        4: [1, 0.424, 0.196, 0.078, 0.018, 0],
    }.items():  # fmt: skip
        np.testing.assert_allclose(found[number], expected, atol=6e-4)
    # At pi / 4 every weight has the same size: scaling a map of rounding errors gave the specification 2/3, see P1 there.
    np.testing.assert_allclose(found[2], [1, 0.843, 0.753, 0.702, 0.675, 0], atol=6e-4)
    np.testing.assert_allclose(found[5], [0.998, 0.449, 0.248, 0.129, 0.049, 0.001], atol=0.01)  # theirs and ours are samples
    assert stats.spearmanr(found[0], found[3]).statistic == stats.spearmanr(found[1], found[5]).statistic == pytest.approx(1)


def test_a_code_of_pictures_scores_as_its_weights():
    # Through the network and the attribution, not by hand: G1, G4, G8.
    pictures = torch.as_tensor(pictures_of(np.random.default_rng(0).random((6, 4)), strips(4)))
    for mixing in (np.eye(4), turned(0.3), evenly_mixed(4), np.ones((4, 4))):
        module = RegionCode(mixing, strips(4))
        maps = unit_maps(module, module, pictures, PICTURE, GRADIENT)
        torch.testing.assert_close(maps, maps_of(mixing).expand(6, -1, -1, -1), rtol=1e-6, atol=1e-7)
        # A linear code looks at every picture alike: whatever it knows, the score is 0.
        total = aggregate(maps)
        assert informativeness(total[:3], total[3:]).abs().max() < 1e-6


def test_linear_code_has_the_closed_form_of_weights():
    weights = np.random.default_rng(1).standard_normal((5, 7, 7))
    maps = torch.as_tensor(np.abs(weights))[None]
    columns = weights.reshape(5, -1)
    expected = (np.square(columns).sum(0) / 5 - np.square(np.abs(columns).sum(0) / 5)).mean()
    assert disentanglement(maps).item() == pytest.approx(expected, rel=1e-12)


# Invariances


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_order_scale_and_range(seed):
    maps = random_maps(seed)
    noise = aggregate(random_maps(seed + 1))
    order = torch.as_tensor(np.random.default_rng(seed).permutation(4))
    for score in (disentanglement, scale_free_disentanglement, spatial_selectivity, mean_overlap):
        torch.testing.assert_close(score(maps[:, order]), score(maps), rtol=1e-9, atol=1e-12)
    for factor in (1e-6, 3.0, 1e9):
        torch.testing.assert_close(disentanglement(factor * maps), factor**2 * disentanglement(maps), rtol=1e-9, atol=0)
        for score in (scale_free_disentanglement, spatial_selectivity, mean_overlap):
            torch.testing.assert_close(score(factor * maps), score(maps), rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(informativeness(aggregate(factor * maps), noise), informativeness(aggregate(maps), noise))
    for value in (*scale_free_disentanglement(maps), *spatial_selectivity(maps), *informativeness(aggregate(maps), noise)):
        assert -1e-12 <= value <= 1 + 1e-12
    forwards, backwards = informativeness(aggregate(maps), noise), informativeness(noise, aggregate(maps))
    torch.testing.assert_close(forwards, backwards, rtol=1e-12, atol=0)
    assert informativeness(noise, noise).abs().max() == 0


def test_opposite_binary_maps_are_as_different_as_can_be():
    one = torch.as_tensor(strips(2))[:1]
    assert informativeness(one, 1 - one).item() == 1


def test_copies_do_not_change_selectivity_but_are_completely_redundant():
    maps = maps_of(copies(np.eye(4)))
    assert scale_free_disentanglement(maps).item() == pytest.approx(8 / 7 * (1 - 4 / (8 * 2)), rel=1e-12)
    assert dci(copies(np.eye(4))).disentanglement == 1
    assert dci(copies(np.eye(4))).completeness < 1
    torch.testing.assert_close(spatial_selectivity(maps), spatial_selectivity(maps_of(np.eye(4))))
    overlap = unit_overlap(maps)[0]
    torch.testing.assert_close(overlap, torch.as_tensor(np.tile(np.eye(4), (2, 2))))
    assert mean_overlap(maps).item() == pytest.approx(8 / (8 * 7))


def test_selectivity_of_one_place_and_of_all_places():
    single = torch.zeros(1, 2, 3, 3, dtype=torch.float64)
    single[0, 0, 1, 1] = single[0, 1, 0, 2] = 2
    assert spatial_selectivity(single).item() == pytest.approx(1)
    assert spatial_selectivity(torch.ones(1, 2, 3, 3)).item() == pytest.approx(0, abs=1e-6)
    assert spatial_selectivity(maps_of(np.eye(4))).item() == pytest.approx(64 / 63 * (1 - 16 / 64))


# Formulas against a loop


@pytest.mark.parametrize("seed", range(3))
def test_scores_are_their_definitions(seed):
    maps = random_maps(seed)
    for picture, found in zip(maps.numpy(), scale_free_disentanglement(maps), strict=True):
        energy = [sum(unit**2) for unit in picture.reshape(4, -1).T]
        each = [4 / 3 * (1 - sum(unit) ** 2 / (4 * sum(unit**2))) for unit in picture.reshape(4, -1).T]
        assert found.item() == pytest.approx(np.average(each, weights=energy), rel=1e-12)
    for picture, found in zip(maps.numpy(), disentanglement(maps, rule="over mean"), strict=True):
        each = [np.var(unit) / (abs(np.mean(unit)) + 1e-5) for unit in picture.reshape(4, -1).T]
        assert found.item() == pytest.approx(np.mean(each), rel=1e-12)
    torch.testing.assert_close(disentanglement(maps, unbiased=True), 4 / 3 * disentanglement(maps))
    overlap = unit_overlap(maps)
    one, other = maps[1, 0].flatten(), maps[1, 3].flatten()
    assert overlap[1, 0, 3].item() == pytest.approx((one @ other / one.norm() / other.norm()).item(), rel=1e-12)
    off = overlap[~torch.eye(4, dtype=torch.bool).expand(3, -1, -1)].view(3, 12)
    torch.testing.assert_close(mean_overlap(maps), off.mean(1))


def test_units_that_look_nowhere_on_a_picture_are_no_pairs():
    maps = torch.stack([maps_of(copies(np.eye(2)))[0], maps_of(copies(np.eye(2)))[0]])
    maps[1, 3] = 0
    assert mean_overlap(maps).tolist() == pytest.approx([4 / 12, 2 / 6])
    maps[1, 1:] = 0
    assert torch.isnan(mean_overlap(maps)).tolist() == [False, True]


def test_places_where_nobody_looks_do_not_count():
    maps = maps_of(np.eye(2))
    wider = torch.nn.functional.pad(maps, (4, 4, 4, 4))
    for weighting in ("energy", "uniform"):
        assert scale_free_disentanglement(wider, weighting=weighting).item() == pytest.approx(1)
    assert torch.isnan(scale_free_disentanglement(torch.zeros(1, 2, 3, 3))).all()
    assert torch.isnan(scale_free_disentanglement(torch.zeros(1, 2, 3, 3), weighting="uniform")).all()


# Normalisation


def test_normalising_scales_each_map_to_its_range():
    maps = torch.tensor([[[1.0, 3.0], [2.0, 5.0]], [[-4.0, -2.0], [-3.0, -2.0]]], dtype=torch.float64)
    assert normalised(maps).tolist() == [[[0, 0.5], [0.25, 1]], [[0, 1], [0.5, 1]]]
    assert normalised(maps, "maximum").tolist() == [[[0.2, 0.6], [0.4, 1]], [[-4, -2], [-3, -2]]]
    assert torch.equal(normalised(maps, "none"), maps)


@pytest.mark.parametrize("value", [0.0, 1.0, 1e-20, -3.0])
def test_a_map_that_is_constant_up_to_rounding_has_no_structure(value):
    maps = torch.full((1, 4, 4), value, dtype=torch.float64) * (1 + 1e-9 * torch.rand(1, 4, 4, dtype=torch.float64))
    assert normalised(maps).abs().max() == 0
    assert normalised(maps, percentiles=(1, 99)).abs().max() == 0
    # An evenly mixed code by way of rotations: all weights alike up to 1e-17, which min-max alone would blow up to 2/3 of the best.
    assert disentanglement(maps_of(turned(np.pi / 4)), rule="min-max").item() == 0


def test_percentiles_take_the_scale_from_one_bright_pixel():
    rng = np.random.default_rng(0)
    one, other = torch.as_tensor(rng.random((2, 20, 20)))
    bright = one.clone()
    bright[3, 3] = 1000
    plain, robust = informativeness(bright, other), informativeness(bright, other, percentiles=(1, 99))
    assert plain == pytest.approx(float(normalised(other).mean()), abs=0.01)
    assert robust == pytest.approx(float(informativeness(one, other, percentiles=(1, 99))), abs=0.01)
    spike = torch.zeros(1, 20, 20)
    spike[0, 2, 2] = 1.0  # beyond the percentiles there is nothing else
    assert normalised(spike, percentiles=(1, 99)).abs().max() == 0


# The whole score


def test_the_whole_score_is_made_of_its_parts():
    maps, noise = random_maps(0, n=6), random_maps(1, n=4)
    maps[:, 2] = noise[:, 2] = 0
    scores = attribution_scores(maps, noise)
    pictures, references = maps.sum(1), noise.sum(1)
    against = np.array([[informativeness(one, other).item() for other in references] for one in pictures])
    among = np.array([informativeness(references[a], references[b]).item() for a in range(4) for b in range(a)])
    assert scores.informativeness.value == pytest.approx(against.mean())
    assert scores.floor.value == pytest.approx(among.mean())
    assert scores.excess.value == pytest.approx(against.mean() - among.mean())
    expected = np.mean([(one > other) + 0.5 * (one == other) for one in against.ravel() for other in among])
    assert scores.separation == pytest.approx(expected)
    live = maps[:, [0, 1, 3]]
    assert scores.disentanglement.value == pytest.approx(scale_free_disentanglement(live).mean().item())
    assert scores.raw_disentanglement.value == pytest.approx(disentanglement(live).mean().item())
    assert scores.scaled_disentanglement.value == pytest.approx(disentanglement(live, rule="min-max").mean().item())
    assert scores.overlap.value == pytest.approx(mean_overlap(live).mean().item())
    assert scores.selectivity.value == pytest.approx(spatial_selectivity(live).mean().item())
    assert scores.dead == 0.25
    assert scores.units["live"].tolist() == [True, True, False, True]
    assert len(scores.pictures) == 6
    for one in (scores.informativeness, scores.excess, scores.floor, scores.disentanglement):
        assert one.low < one.value < one.high


def test_one_live_unit_has_no_disentanglement_but_informativeness():
    maps, noise = random_maps(0, units=1), random_maps(1, units=1)
    scores = attribution_scores(maps, noise)
    assert np.isnan(scores.disentanglement.value)
    assert scores.disentanglement.count == 0
    assert np.isfinite(scores.excess.value)


def test_what_references_move_is_that_of_a_jackknife():
    """Leaving out one of k references moves the mean over references once and the mean over their pairs twice."""
    k, rng = 60, np.random.default_rng(0)
    effect = rng.random(k)
    against = np.tile(0.5 + effect, (4, 1)) + 0.1 * rng.random(k)  # pictures are alike: all uncertainty is that of references
    among = effect[:, None] + effect + 0.1 * rng.random((k, k))
    among = (among + among.T) * (1 - np.eye(k)) / 2
    everything = np.arange(k)

    def statistics(kept):
        pairs = among[np.ix_(kept, kept)]
        floor = pairs.sum() / (len(kept) * (len(kept) - 1))
        score = against[:, kept].mean()
        return np.array([score, floor, score - floor])

    left_out = np.array([statistics(np.delete(everything, one)) for one in everything])
    expected = np.sqrt((k - 1) ** 2 / k * left_out.var(0, ddof=1))
    estimates, errors = _informativeness(against, among)
    for one, error, found in zip(estimates, expected, errors["references"], strict=True):
        assert (one.high - one.value) / stats.t.ppf(0.975, k - 1) == pytest.approx(found, rel=1e-9)
        # Of pairs, a jackknife gives (k - 1) / (k - 2) times the first order; less the score, up to twice that excess.
        assert (one.high - one.value) / stats.t.ppf(0.975, k - 1) == pytest.approx(error, rel=2 / (k - 2))


@pytest.mark.slow
def test_intervals_cover():
    """Maps of a common pattern, a pattern of its own for every picture or reference: what an interval over both must hold."""
    rng, places, hits, truth = np.random.default_rng(0), 36, {"informativeness": 0, "floor": 0, "excess": 0}, {}

    def drawn(count, weight):
        common = np.linspace(0, weight, places)
        scale = rng.gamma(2.0, 0.5, (count, 1))
        return torch.as_tensor((common + scale * rng.random((count, places))).reshape(count, 1, 6, 6))

    big = attribution_scores(drawn(1500, 1.0), drawn(1500, 0.2))
    truth = {name: getattr(big, name).value for name in hits}
    repeats = 1000
    for _ in range(repeats):
        scores = attribution_scores(drawn(12, 1.0), drawn(8, 0.2))
        for name in hits:
            hits[name] += getattr(scores, name).low <= truth[name] <= getattr(scores, name).high
    for name, count in hits.items():
        assert 0.925 * repeats < count < 0.985 * repeats, (name, count)


@pytest.mark.parametrize(("call", "message"), [
    (lambda: disentanglement(random_maps(0, units=1)), "at least two units"),
    (lambda: scale_free_disentanglement(random_maps(0, units=1)), "at least two units"),
    (lambda: mean_overlap(random_maps(0, units=1)), "at least two units"),
    (lambda: spatial_selectivity(random_maps(0, side=1)), "two places"),
    (lambda: disentanglement(random_maps(0), rule="max"), "rule: found 'max'"),
    (lambda: scale_free_disentanglement(random_maps(0), weighting="x"), "weighting: found 'x'"),
    (lambda: normalised(random_maps(0), "l2"), "rule: found 'l2'"),
    (lambda: normalised(random_maps(0), percentiles=(99, 1)), r"percentiles: found \(99, 1\)"),
    (lambda: normalised(random_maps(0), "maximum", percentiles=(1, 99)), "with the rule 'maximum'; expected .* with 'min-max'"),
    (lambda: normalised(random_maps(0) * float("nan")), "300 values that are not finite"),
    (lambda: attribution_scores(random_maps(0), random_maps(0, units=5)), "of the same units and places"),
    (lambda: attribution_scores(random_maps(0, n=1), random_maps(0)), "maps: found 1 pictures"),
    (lambda: attribution_scores(random_maps(0), random_maps(0, n=2)), "noise_maps: found 2 pictures; expected at least 3"),
    (lambda: attribution_scores(0 * random_maps(0), 0 * random_maps(0)), "4 units that look nowhere"),
    (lambda: attribution_scores(random_maps(0) / 0, random_maps(0)), "maps: found 300 values that are not finite"),
])  # fmt: skip
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_units_that_speak_on_noise_only_are_dead_and_silent_ones_are_counted():
    maps, noise = random_maps(0, n=4), random_maps(1)
    maps[:, 2] = 0
    maps[0, 1] = 0
    found = attribution_scores(maps, noise)
    assert found.dead == 0.25
    assert found.silent == pytest.approx(1 / (3 * 4))
    assert found.disentanglement.value == pytest.approx(scale_free_disentanglement(maps[:, [0, 1, 3]]).mean().item())


def test_a_single_place_has_no_informativeness():
    found = attribution_scores(random_maps(0)[..., :1, :1], random_maps(1)[..., :1, :1])
    assert np.isnan([found.informativeness.value, found.excess.value, found.separation]).all()
    assert np.isfinite(found.disentanglement.value)


def test_maps_that_are_still_in_a_graph_can_be_scored():
    maps, noise = random_maps(0), random_maps(1)
    expected = attribution_scores(maps, noise)
    assert attribution_scores(maps.clone().requires_grad_(), noise).excess.value == expected.excess.value
