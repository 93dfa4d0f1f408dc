"""Experiments of notebook 02 on networks small enough to check by hand."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from scipy import stats
from torch import nn

from lib import datasets
from lib.attribution.attributions import all_attributions
from lib.attribution.sites import PICTURE, Site
from lib.attribution.strategies import GRAD_CAM, GRADIENT, GRADIENT_TIMES_ACTIVATION, PLAIN_GRADIENT
from lib.constrained_training import Schedule
from lib.datasets.pictures import in_memory
from lib.encoders.encoder import Encoder
from lib.experiments import attribution_scores as experiments
from lib.experiments import remembered as cache
from lib.experiments.attribution_scores import constrained, drifting
from lib.experiments.attribution_scores.looking import in_picture_units
from lib.measures.attribution_scores import scale_free_disentanglement

SIDE = 10


@pytest.fixture(autouse=True)
def nothing_is_kept(monkeypatch):
    monkeypatch.setattr(cache.store, "fetch", lambda kind, inputs, make, code: make())


class Small(nn.Module):
    """An auto-encoder of pictures of 10 x 10."""

    def __init__(self, seed=0, units=4):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.first, self.second = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
            self.last, self.back = nn.Linear(4 * SIDE**2, units), nn.Linear(units, 3 * SIDE**2)

    def embed(self, x):
        return self.last(torch.relu(self.second(torch.relu(self.first(x)))).flatten(1))

    def forward(self, x):
        return self.back(self.embed(x)).view(x.shape)


def small(seed=0, factor=1.0, units=4):
    module = Small(seed, units).eval()
    return Encoder(
        f"small {seed}", module, lambda pixels: torch.as_tensor(np.asarray(pixels)).permute(0, 3, 1, 2).float() / 255 * factor,
        module.embed, None, {"seed": seed, "factor": factor, "units": units},
    )  # fmt: skip


def pictures(count=6, seed=0):
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (count, SIDE, SIDE, 3)).astype(np.uint8)
    pixels[:, 3:7, 3:7] = rng.integers(0, 256, (count, 1, 1, 3))
    return in_memory("some", pixels, np.arange(count) % 2, ("a", "b"), {"set": "some", "seed": seed, "count": count})


SITES = {"picture": PICTURE, "second": Site("second")}


def test_noise_has_the_size_and_the_colours_asked_for():
    some = pictures(200)
    uniform, gaussian, shuffled = (experiments.noise_pictures(kind, 5, some, seed=1) for kind in ("uniform", "gaussian", "shuffled"))
    for noise in (uniform, gaussian, shuffled):
        assert noise.shape == (5, SIDE, SIDE, 3)
        assert noise.dtype == np.uint8
        assert len(np.unique(noise.reshape(5, -1), axis=0)) == 5
    first = some.read(np.arange(5))
    for one, other in zip(shuffled, first, strict=True):
        assert not np.array_equal(one, other)
        assert sorted(map(tuple, one.reshape(-1, 3))) == sorted(map(tuple, other.reshape(-1, 3)))
    grey = in_memory("grey", np.random.default_rng(0).integers(0, 90, (70, 8, 8)).astype(np.uint8), np.zeros(70), ("a",), {})
    assert (np.ptp(experiments.noise_pictures("uniform", 3, grey), axis=3) == 0).all()
    assert experiments.noise_pictures("gaussian", 50, grey).mean() == pytest.approx(44.5, abs=3)
    with pytest.raises(ValueError, match="kind: found 'pink'"):
        experiments.noise_pictures("pink", 3, some)


def test_noise_is_given_in_units_of_the_picture():
    assert in_picture_units(small(factor=4.0), GRADIENT, SIDE).noise == pytest.approx(2.0)


def test_grad_cam_takes_what_comes_out_and_the_baseline_has_one_map():
    pixels = pictures().read(np.arange(2))
    inputs = experiments.looks(small(), pixels, Site("second"), GRAD_CAM)
    assert torch.equal(inputs, experiments.looks(small(), pixels, Site("second", "output"), GRAD_CAM))
    assert experiments.looks(small(), pixels, Site("second"), experiments.ACTIVATION).shape == (2, 1, SIDE, SIDE)


def test_the_table_has_a_row_for_every_encoder_layer_and_strategy():
    table = experiments.scores_table(
        {"one": small(), "other": small(1)}, pictures(), SITES, [GRADIENT, GRAD_CAM, experiments.ACTIVATION], references=4
    )
    assert len(table) == 2 * (2 * 2 + 1)
    alone = experiments.scored(small(1), pictures(), SITES["second"], GRADIENT, references=4)
    row = table[(table.encoder == "other") & (table.layer == "second") & (table.strategy == "gradient")].iloc[0]
    assert row.informativeness == pytest.approx(alone.informativeness.value)
    assert row.disentanglement_low == pytest.approx(alone.disentanglement.low)
    assert row.depth == 1
    sites = {"picture": PICTURE, "second": Site("second")}
    pooled = experiments.scores_table({"one": small()}, pictures(), sites, [GRAD_CAM, GRADIENT], references=3)
    assert pooled[["layer", "depth"]].to_numpy().tolist() == [["second", 1], ["picture", 0], ["second", 1]]
    assert np.isnan(table[table.strategy == "activation only"].disentanglement).all()


def test_a_network_is_like_itself_and_less_like_another():
    found = experiments.similarity_to_trained(
        small(), {"itself": small(), "other": small(5)}, pictures(), SITES, [PLAIN_GRADIENT, GRADIENT_TIMES_ACTIVATION]
    )
    assert len(found) == 2 * 2 * 2 * 3 * 6
    assert found[found.other == "itself"]["value"].to_numpy() == pytest.approx(np.ones(72), abs=1e-5)
    assert (found[found.other == "other"]["value"] < 0.999).all()


def test_codes_are_mixed_as_said():
    batch = small().preprocess(pictures(50).read(np.arange(50)))
    with torch.no_grad():
        code = small().embed(batch)
        halved = experiments.half_replaced(small(), 4).embed(batch)
        replaced = (halved - code).abs().max(0).values > 1e-6
        assert replaced.sum() == 2
        torch.testing.assert_close(halved[:, replaced], code.mean(1, keepdim=True).expand(-1, 2))
        turned = experiments.rotated(small(), 4).embed(batch)
        torch.testing.assert_close(turned.norm(dim=1), code.norm(dim=1))
        white = experiments.whitened(small(), code.double().numpy()).embed(batch)
        torch.testing.assert_close(torch.cov(white.T, correction=0), torch.eye(4), rtol=1e-2, atol=1e-2)
    assert experiments.half_replaced(small(), 4).identity != small().identity


def test_copies_lower_disentanglement_and_a_mean_of_units_with_signs_does_not():
    pixels = pictures().read(np.arange(6))
    encoder = small(units=16)
    before, copied, replaced = (
        scale_free_disentanglement(experiments.looks(one, pixels, PICTURE, GRADIENT))
        for one in (encoder, experiments.half_copied(encoder, 16), experiments.half_replaced(encoder, 16))
    )
    assert (copied < before).all()
    assert (replaced > before).all()  # the mean of units with random signs is small: it hardly looks anywhere


def test_copies_are_of_live_units_and_averaged_over_choices():
    table = experiments.redundancy_table({3: small(units=16)}, pictures(), PICTURE, PLAIN_GRADIENT, units=16, draws=3)
    assert table.key.tolist() == [3] * 6
    pixels = pictures().read(np.arange(6))
    several = [
        scale_free_disentanglement(experiments.looks(one, pixels, PICTURE, PLAIN_GRADIENT))
        for one in (experiments.half_copied(small(units=16), 16, seed=draw) for draw in range(3))
    ]
    assert table["copied"].to_numpy() == pytest.approx(np.mean([one.numpy() for one in several], axis=0), rel=1e-5)
    dead = small(units=16)
    with torch.no_grad():
        dead.module.last.weight[::2] = 0
    found = experiments.redundancy_table({0: dead}, pictures(), PICTURE, PLAIN_GRADIENT, units=16, draws=2)
    alive = experiments.looks(dead, pixels, PICTURE, PLAIN_GRADIENT)[:, 1::2]
    assert found["intact"].to_numpy() == pytest.approx(scale_free_disentanglement(alive).numpy(), rel=1e-5)
    with pytest.raises(ValueError, match="among: found 1 units"):
        experiments.half_copied(small(), 4, among=[2])


def test_other_noise_and_edges_are_beside_the_score():
    table = experiments.robustness_table({"one": small()}, pictures(), SITES["second"], GRADIENT, references=4)
    assert len(table) == 3 * 2 + 3
    plain = experiments.scored(small(), pictures(), SITES["second"], GRADIENT, references=4)
    first = table[(table.noise == "uniform") & (table.percentiles == "none") & (table.encoder == "one")].iloc[0]
    assert first.excess == pytest.approx(plain.excess.value)
    edges = table[table.encoder == "edges of the picture"].set_index("noise")
    assert edges.loc["uniform", "separation"] > 0.6  # an object on noise is not noise


def test_drift_is_compared_with_the_same_picture_and_references():
    numbers = experiments.numbers_under_drift(
        small(), pictures(8), pictures(40, seed=1), Site("second"), GRADIENT.but(samples=2), drifts=["noise", "contrast"],
        strengths=[0.2, 0.8], aggregation="sum", references=3,
    ).assign(key=7)  # fmt: skip
    assert len(numbers) == 2 * 3 * 8
    changes = experiments.changes(numbers)
    assert (changes[changes.strength == 0].change == 0).all()
    one = numbers[(numbers.drift == "noise") & (numbers.strength == 0.8) & (numbers.picture == 2)].iloc[0]
    usual = numbers[(numbers.drift == "noise") & (numbers.strength == 0) & (numbers.picture == 2)].iloc[0]
    found = changes[(changes.drift == "noise") & (changes.strength == 0.8) & (changes.picture == 2)].iloc[0]
    assert found.change == pytest.approx((usual.informativeness - one.informativeness) / usual.informativeness)
    areas = experiments.detections(numbers)
    assert len(areas) == 2 * 2 * (len(drifting.NUMBERS) + 1)
    assert areas[(areas.drift == "contrast") & (areas.number == "spread") & (areas.strength == 0.8)].area.item() == 1
    pixels = pictures(8).read(np.arange(8))
    assert usual["mean"] == pytest.approx(pixels[2].mean() / 255)


def test_pictures_of_various_sizes_are_cut_to_squares(tmp_path):
    same = pictures()
    assert experiments.of_one_size(same) is same
    for number, (height, width) in enumerate([(40, 60), (30, 20)]):
        pixels = np.zeros((height, width, 3), np.uint8)
        pixels[:, : width // 2] = 200
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    found = experiments.of_one_size(datasets.load(f"folder:{tmp_path}"), side=16)
    both = found.read(np.arange(2))
    assert both.shape == (2, 16, 16, 3)
    assert (both[:, :, 2] == 200).all()
    assert (both[:, :, -2] == 0).all()
    assert found.identity != datasets.load(f"folder:{tmp_path}").identity


def test_copies_with_shared_noise_are_one_and_with_noise_of_their_own_are_not():
    table = experiments.identical_units(small(), pictures(), samples=[1, 20], draws=3)
    assert len(table) == 2 * 3 * 4
    assert table[(table.units == "copies") & (table.noise == "own")].groupby("samples")["scaled"].nunique().tolist() == [3, 3]
    table = table.groupby(["units", "noise", "samples"])[["scaled", "scale-free"]].mean()
    assert (table.loc["copies", "shared"][["scaled", "scale-free"]].abs() < 1e-6).all(axis=None)
    own = table.loc["copies", "own"]["scale-free"]
    assert own[1] > own[20] > 0.001
    assert (table.loc["different", "shared"]["scale-free"] > 0.01).all()


def test_units_with_noise_of_their_own_share_t():
    table = experiments.identical_units(small(), pictures(), samples=[3], noise=0.0, draws=2)
    assert (table[table.units == "copies"]["scale-free"].abs() < 1e-6).all()


def test_more_samples_spread_less():
    table = experiments.spread_over_draws(small(), pictures(), PICTURE, samples=[1, 30], noises=[0.0, 0.5], draws=6, references=3)
    spread = table.set_index(["samples", "noise"])
    assert spread["disentanglement_smoothing"][30, 0.5] < spread["disentanglement_smoothing"][1, 0.5]
    # What pictures and references add is there without any smoothing noise.
    assert (spread["excess_smoothing_low"] <= spread["excess_smoothing"]).all()
    assert (spread["excess_smoothing"] <= spread["excess_smoothing_high"]).all()
    assert (spread[["excess_pictures", "excess_references", "informativeness_references", "disentanglement_pictures"]] > 0).all(axis=None)


def test_scores_judge_codes_of_one_object_the_wrong_way_round():
    table = experiments.blind_spot().set_index("code")
    assert table.loc["one unit a factor", "disentanglement"] == pytest.approx(0, abs=1e-6)
    assert table.loc["one unit a factor", "MIG"] > 0.9
    assert table.loc["one unit a half of the object", "disentanglement"] == pytest.approx(1, abs=1e-6)
    assert table.loc["one unit a half of the object", "MIG"] < 0.01


def test_factors_are_those_that_scenes_are_drawn_from():
    scenes = datasets.load("scenes", count=30)
    factors = experiments.factors_of(scenes)
    assert list(factors) == ["shape", "texture", "colour", "size", "row", "column", "background", "distractor"]
    names = [name.removeprefix("shape: ") for name in scenes.concepts if name.startswith("shape: ")]
    assert [names[value] for value in factors["shape"]] == scenes.factors["shape"].tolist()


def test_a_code_of_the_factors_is_found_to_be_one():
    class Told(nn.Module):
        def __init__(self):
            super().__init__()
            self.look = nn.Linear(3 * 64 * 64, 1)

        def forward(self, x):
            return self.look(x.flatten(1))

    scenes = datasets.load("scenes", count=300)
    told = dict(zip(map(bytes, scenes.read(np.arange(300))), experiments.factors_of(scenes).to_numpy(), strict=True))
    module = Told()

    def preprocess(pixels):
        x = torch.as_tensor(np.asarray(pixels)).permute(0, 3, 1, 2).float()
        x[:, 0, 0, :8] = torch.as_tensor(np.array([told.get(bytes(one), np.zeros(8)) for one in np.asarray(pixels)])).float()
        return x

    encoder = Encoder("told", module, preprocess, lambda x: x[:, 0, 0, :8] + 0 * module.look(x.flatten(1)), None, {})
    [row] = experiments.against_known_factors(
        {"told": encoder}, scenes.take(np.arange(4)), scenes, PICTURE, PLAIN_GRADIENT, references=3
    ).to_dict("records")
    assert row["DCI disentanglement"] > 0.85
    assert row["DCI informativeness by chance"] < row["DCI informativeness"] - 0.3
    assert row["MIG by chance"] < 0.1
    assert row["MIG"] > 0.9
    assert row["disentanglement"] == pytest.approx(1, abs=1e-6)


def test_arms_have_names_and_weights():
    names = ["both", "sham", "scale-free", "noise (R4)", "only_var", "only_noise (R3)"]
    arms = {arm.name: arm for arm in experiments.arms_of(["normal", *names], [0.1, 1.0])}
    with_task = names[:4]  # without one, the weight is only a rate
    assert list(arms) == ["normal", *(f"{name}, 0.1" for name in names), *(f"{name}, 1" for name in with_task)]
    assert arms["both, 0.1"].informativeness == arms["both, 0.1"].disentanglement == 0.1
    assert arms["sham, 1"].sham
    assert not arms["both, 1"].sham
    assert arms["scale-free, 1"].score == "scale-free"
    assert not arms["only_var, 0.1"].task
    assert arms["only_noise (R3), 0.1"].informativeness == -0.1
    assert not arms["only_noise (R3), 0.1"].task
    assert arms["noise (R4), 1"].summed_references
    assert arms["noise (R4), 1"].informativeness == 1
    with pytest.raises(ValueError, match="arms: found 'best'"):
        experiments.arms_of(["best"], [1.0])


def test_the_grid_pairs_arms_by_seed(monkeypatch):
    monkeypatch.setattr(constrained, "MEMBERS", 4)
    arms = experiments.arms_of(["normal", "noise", "var"], [0.5])
    table = experiments.trained("digits", [1, 2], arms, [0, 3], Schedule(3, 1, references=2), label="short", count=100)
    assert np.isnan(experiments.gains(table[table["size"] == 1], "scale-free disentanglement")["gain"]).all()  # over one unit
    counted = table.groupby(["size", "arm"])["seed"].apply(list)
    assert counted.to_dict() == {(1, "normal"): [0, 3], (1, "noise, 0.5"): [0, 3], (2, "normal"): [0, 3], (2, "noise, 0.5"): [0, 3],
                                 (2, "var, 0.5"): [0, 3]}  # fmt: skip
    made = pd.DataFrame({"schedule": "s", "size": 2, "arm": ["normal"] * 3 + ["a"] * 3, "seed": [0, 1, 2] * 2,
                         "accuracy": [0.5, 0.6, 0.7, 0.6, 0.8, 0.7]})  # fmt: skip
    [gain] = experiments.gains(made, "accuracy").to_dict("records")
    assert gain["gain"] == pytest.approx(0.1)
    assert gain["seeds"] == 3
    assert gain["low"] == pytest.approx(0.1 - 4.302653 * 0.1 / np.sqrt(3), rel=1e-5)




def test_quirks_do_what_they_say():
    site, way = Site("second"), GRADIENT.but(samples=2)
    settings = {"units": 4, "references": 3}
    table = experiments.quirk_table(small(), pictures(), site, way, **settings).set_index("quirk")
    plain = experiments.scored(small(), pictures(), site, way, references=3)
    assert table.loc["none", "informativeness"] == pytest.approx(plain.informativeness.value, rel=1e-5)
    assert table.loc["none", "disentanglement"] == pytest.approx(plain.raw_disentanglement.value, rel=1e-5)
    assert table.loc["none", "disentanglement_low"] == pytest.approx(plain.raw_disentanglement.low, rel=1e-4)
    assert table.loc["first unit only (R1)", "disentanglement"] == 0
    assert table.loc["variance over d - 1 (P15)", "disentanglement"] == pytest.approx(4 / 3 * plain.raw_disentanglement.value, rel=1e-5)
    assert table.loc["units scaled to their range (P2)", "disentanglement"] == pytest.approx(plain.scaled_disentanglement.value, rel=1e-5)
    for quirk, score in (("noise drawn for every unit (P3)", "disentanglement"), ("noise drawn anew for references", "informativeness"),
                         ("one reference (A7)", "informativeness"), ("square roots over channels (A2)", "informativeness"),
                         ("first unit only (R1)", "informativeness")):  # fmt: skip
        assert table.loc[quirk, score] != pytest.approx(table.loc["none", score], rel=1e-4), quirk


def test_the_wrong_axis_gives_another_informativeness():
    encoder, site = small(), Site("second")
    table = experiments.reference_table(encoder, pictures(), site, PLAIN_GRADIENT, references=5).set_index("reference")["informativeness"]
    noise = encoder.preprocess(experiments.noise_pictures("uniform", 5, pictures()))
    of_pictures, of_noise = (
        all_attributions(encoder.module, encoder.embed, batch, site, PLAIN_GRADIENT).sum(1).numpy()
        for batch in (encoder.preprocess(pictures().read(np.arange(6))), noise)
    )
    meant, wrong = [], []
    for picture in of_pictures.sum(1):
        scaled = picture / picture.max()
        reference = of_noise.sum(1).mean(0)
        meant.append(np.abs(scaled - reference / reference.max()).mean())
        channels = of_noise.sum(0)  # (channels, height, width): the first axis was the batch
        wrong.append(np.abs(scaled - channels / channels.max()).mean())
    assert table.iloc[0] == pytest.approx(np.mean(meant), rel=1e-4)
    assert table.iloc[1] == pytest.approx(np.mean(wrong), rel=1e-4)
    assert table.iloc[0] != pytest.approx(table.iloc[1], rel=0.01)


def test_areas_of_several_networks_are_one_mean_within_bounds():
    detected = pd.DataFrame([
        {"key": key, "drift": "noise", "strength": 0.1, "number": "mean", "area": 0.9 + 0.05 * key, "low": 0.8, "high": 1.0}
        for key in range(3)
    ])  # fmt: skip
    one = experiments.mean_detections(detected).loc["noise", "mean", 0.1]
    assert one.area == pytest.approx(0.95)
    assert one.low == pytest.approx(0.95 - np.hypot(0.1, 0.05 / np.sqrt(3) * stats.t.ppf(0.975, 2)))
    assert one.high == 1


def test_numbers_of_first_seeds_are_texts_with_intervals():
    scores = pd.DataFrame([
        {"network": network, "key": key, "state": "trained", "layer": "conv", "excess": key / 10, "excess_low": 0.0, "excess_high": 1.0}
        for network in ("a", "b") for key in (4, 5)
    ])  # fmt: skip
    table = experiments.of_first_seeds(scores, ["excess"])
    assert table["network"].tolist() == ["a", "b"]
    assert table["excess"].tolist() == ["0.400 [0.000, 1.000]"] * 2


def test_gains_are_drawn_by_arm_and_size_without_arms_that_have_no_task():
    gains = pd.DataFrame([
        {"schedule": schedule, "size": size, "arm": arm, "gain": size / 10, "low": -np.inf, "high": np.inf}
        for schedule in ("usual", "often") for size in (2, 10) for arm in ("both, 0.1", "only_var, 0.1")
    ])  # fmt: skip
    figure = experiments.gain_figure({"accuracy": gains, "other": gains}, {"accuracy": "accuracy", "other": "other"})
    first, _ = figure.axes
    assert [label.get_text() for label in first.get_yticklabels()] == ["both, 0.1", "both, 0.1 (often)"]
    hollow = [line.get_xdata().tolist() for line in first.get_lines() if line.get_markerfacecolor() == "none" and len(line.get_xdata())]
    assert hollow == [[0.2, 0.2], [1.0, 1.0]]  # no interval is finite
    plt.close(figure)
