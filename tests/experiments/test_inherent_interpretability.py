"""The sweeps, predictions, interventions and claims of notebook 05 on worlds whose answer is known."""

from dataclasses import replace
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from lib import datasets
from lib.concept_libraries.elements import Elements
from lib.concept_libraries.library import ConceptLibrary, given
from lib.datasets.pictures import in_memory
from lib.datasets.scenes import FACTORS
from lib.experiments import inherent_interpretability as experiments
from lib.experiments.evidence import TOO_LITTLE
from lib.experiments.inherent_interpretability import editing, fine_tuning, paper_claims, predictions, sweeps
from lib.experiments.inherent_interpretability.sweeps import Features, World
from lib.measures.inherent_interpretability import inherent_interpretability
from lib.statistics import Estimate

FEW = {"sparsities": (0.0, 0.5, 0.9), "banks": 1, "bootstrap": 50}


@pytest.fixture(scope="module")
def world():
    """Six classes; each picture's class is known, and names say which."""
    labels = np.arange(1200) % 6
    pixels = np.zeros((1200, 4, 4, 3), np.uint8)
    pixels[:, 0, 0, 0] = np.arange(1200) // 5
    names = tuple("abcdef")
    train, test = (in_memory(name, pixels, labels, names, {"set": name}) for name in ("train", "test"))
    elements = Elements(pixels[:120], np.arange(120), labels[:120], {"set": "train"}, "patches")
    similarities = np.eye(6, dtype=np.float32)[labels]
    return World(train, test, elements, names, similarities)


@pytest.fixture(scope="module")
def features(world):
    """Features whose classes lie 4, 1 and 0 apart."""
    rng = np.random.default_rng(0)
    means = np.linalg.qr(rng.standard_normal((16, 16)))[0][:6]

    def drawn(distance, labels):
        return (distance * means[labels] + 0.6 * rng.standard_normal((len(labels), 16))).astype(np.float32)

    return {
        name: Features(*(drawn(distance, one) for one in (world.train.labels, world.test.labels, world.elements.classes)))
        for name, distance in {"local:far": 4.0, "local:near": 1.0, "local:nothing": 0.0}.items()
    }


@pytest.fixture(scope="module")
def scores(features, world):
    libraries = {kind: experiments.Library(kind, 20, draws=1) for kind in ("prototype", "cluster", "end2end", "text")}
    return experiments.scores_of(features, world, libraries, **FEW)


def test_scores_are_those_of_the_measure_and_textual_ones_need_learnable_names(scores, features, world):
    assert list(scores) == ["prototype", "cluster", "end2end", "text"]
    assert list(scores["prototype"]) == list(features)
    assert "local:nothing" not in scores["text"]  # no name passes the filter after learning
    assert scores["text"]["local:far"].settings["concepts"] == 6
    one = features["local:far"]
    [library] = experiments.libraries_of(one, world, experiments.Library("prototype", 20, draws=1))
    again = inherent_interpretability(one.train, world.train.labels, one.test, world.test.labels, library, **FEW)
    assert scores["prototype"]["local:far"].full == again.full
    assert not scores["prototype"]["local:far"].leaked
    table = experiments.summary(scores).set_index(["library", "representation"])
    assert table.loc[("prototype", "local:nothing"), "refused"].startswith("accuracy: found")
    assert table.loc[("prototype", "local:far"), "accuracy"] > 0.98
    assert table.loc[("cluster", "local:far"), "full"] == scores["cluster"]["local:far"].full.value
    curves = experiments.retention_curves(scores)
    assert len(curves) == 3 * (3 * 3 + 2)
    assert set(curves.columns) >= {"library", "representation", "sparsity", "kept", "retention", "low", "high", "random"}


def test_libraries_know_where_they_come_from(features, world):
    draws = experiments.libraries_of(features["local:far"], world, experiments.Library("prototype", 20, draws=3))
    assert len(draws) == 3
    assert len({one.elements.tobytes() for one in draws}) == 3
    assert all(one.source == {"set": "train"} for one in draws)
    with pytest.raises(ValueError, match="similarities: found none in the world"):
        experiments.libraries_of(features["local:far"], World(world.train, world.test, world.elements), experiments.Library("text"))


def test_ways_change_what_they_say(features, world):
    ways = {"mask": {}, "soft": {"form": "soft"}, "most": {"order": "most"}}
    found = experiments.scores_with(
        {"local:near": features["local:near"]}, world, experiments.Library("prototype", 20, draws=1), ways, **FEW
    )  # fmt: skip
    retained = {way: one["local:near"].curve["retention"].to_numpy() for way, one in found.items()}
    assert retained["mask"][0] == retained["most"][0]  # at s = 0 all speak
    assert retained["most"][2] < retained["mask"][2]  # the strongest two of twenty are silenced first, or speak alone
    assert found["soft"]["local:near"].settings["form"] == "soft"


def test_the_authors_reading_of_what_is_far_apart_is_near_one(features, world):
    found = experiments.as_released(
        {"local:far": features["local:far"]}, world, experiments.Library("prototype", 20, draws=1), sparsities=(0.0, 0.5, 0.8)
    )  # fmt: skip
    assert found["kept"].tolist() == [19, 9, 3]
    assert found["score"].iloc[0] == pytest.approx(0.8, abs=0.03)


def test_worlds_are_sent_without_pixels(world):
    sent = world.without_pixels()
    assert len(sent.elements.crops) == 0
    np.testing.assert_array_equal(sent.train.labels, world.train.labels)
    with pytest.raises(ValueError, match="pictures: found none here"):
        sent.test.read(np.arange(2))


def test_a_factor_can_take_the_place_of_the_class():
    train, test = (datasets.load("scenes", count=60, seed=seed) for seed in (1, 2))
    world = World(train, test, Elements(np.zeros((3, 4, 4, 3), np.uint8), np.array([5, 6, 7]), train.labels[[5, 6, 7]], {}, "patches"))
    coloured = world.labelled_by("colour")
    assert [coloured.test.class_names[one] for one in coloured.test.labels] == test.factors["colour"].tolist()
    np.testing.assert_array_equal(coloured.elements.classes, coloured.train.labels[[5, 6, 7]])
    assert world.labelled_by("class") is world
    with pytest.raises(ValueError, match="targets: found 'taste' for scenes; expected class, or for scenes one of shape"):
        world.labelled_by("taste")


def test_planted_libraries_come_out_as_derived():
    planted = experiments.planted_scores(pictures=1500, sparsities=(0.0, 0.5, 0.9))
    rows = planted.dropna(subset=["expected"])
    assert set(rows["case"]) == set(planted["case"]) - {"the class means"}
    means = planted[(planted["case"] == "the class means") & (planted["sparsity"] == 0)]
    assert means["retention"].item() > 0.99  # T7: a head makes as much of them as of all dimensions, or more
    assert (rows["retention"] - rows["expected"]).abs().max() < 0.05  # three standard errors of a ratio of 1,500 pictures


@pytest.mark.slow
def test_raw_scores_are_u_shaped_and_corrected_ones_rise():
    found = experiments.separation_curve([0, 0.2, 0.6], pictures=1500)
    assert found["refused"].tolist() == [True, False, False]
    assert found["raw"][1] < min(found["raw"][0], found["raw"][2])
    assert found["corrected"][1] < found["corrected"][2]


def test_few_concepts_of_the_class_are_enough(features, world, monkeypatch):
    library = given(np.linalg.svd(features["local:far"].train, full_matrices=False)[2][:6], normalisation="none")
    monkeypatch.setattr(predictions, "libraries_of", lambda *_, **__: [library])
    every = experiments.accuracy_by_concepts(
        {name: features[name] for name in ("local:near", "local:far")}, world, {"axes": None, "again": None}, counts=[1, 2, 100],
        strengths=[0.1, 0.001],
    )  # fmt: skip
    assert every.groupby("representation", sort=False).size().tolist() == [16, 16]
    found = every[every["representation"] == "local:far"]
    assert set(found["concepts"]) == {"axes", "again", "together", "the representation itself"}
    own = found[(found["concepts"] == "axes") & (found["limited"] == "activations")]
    assert own["effective"].tolist() == [6, 2, 1]  # 100 are more than there are
    assert own["accuracy"].iloc[0] > 0.97
    assert own["accuracy"].is_monotonic_decreasing
    dense = found[(found["concepts"] == "axes") & (found["limited"] == "weights")]
    assert dense["effective"].is_monotonic_increasing
    assert ((found["accuracy_low"] <= found["accuracy"]) & (found["accuracy"] <= found["accuracy_high"])).all()


def test_a_sparse_final_layer_sees_z_scores_of_the_training_pictures(monkeypatch):
    seen = {}

    def layers(inputs, labels, test_inputs, test_labels, **_):
        seen.update(train=inputs, test=test_inputs)
        return pd.DataFrame({"effective": [1.0], "accuracy": [0.5]})

    monkeypatch.setattr(predictions, "sparse_final_layers", layers)
    rng = np.random.default_rng(0)
    train, test = (5 + 3 * rng.standard_normal((400, 6), dtype=np.float32) for _ in range(2))
    truth = np.arange(400) % 2
    predictions._accuracies(train, test, None, labels=truth, truth=truth, strengths=[1.0], seed=0)
    np.testing.assert_allclose(seen["train"].mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(seen["train"].std(0), 1, atol=1e-5)
    np.testing.assert_allclose(seen["test"], (test - train.mean(0)) / train.std(0), atol=1e-4)


def test_draws_of_end2end_have_one_size(features, world):
    draws = experiments.libraries_of(features["local:far"], world, experiments.Library("end2end", 60, draws=4))
    assert len(draws) == 4
    assert len({one.count for one in draws}) == 1


def test_heads_of_a_score_outlive_an_interruption(features, world, monkeypatch):
    one, library = {"local:near": features["local:near"]}, {"prototype": experiments.Library("prototype", 18, draws=1)}
    settings = {"world": world, "settings": FEW}
    first = sweeps.scored(one["local:near"], library, **settings)["prototype"]
    monkeypatch.setattr("lib.concept_heads.fitted_head", lambda *_, **__: pytest.fail("fitted again"))
    again = sweeps.scored(one["local:near"], library, **settings)["prototype"]
    assert again.full == first.full
    pd.testing.assert_frame_equal(again.curve, first.curve)


def test_an_explanation_names_the_concept_of_the_class(features, world):
    one = features["local:far"]
    means = np.stack([one.train[world.train.labels == label].mean(0) for label in range(6)])
    classifier = experiments.concept_classifier(given(means), one.train, world.train.labels, keep=2)
    table = experiments.explained(classifier, one.test, [3, 8, 10], count=2)
    first = table[table["place"] == 1]
    np.testing.assert_array_equal(first["concept"], world.test.labels[[3, 8, 10]])
    np.testing.assert_array_equal(first["predicted"], world.test.labels[[3, 8, 10]])
    assert (table["speaking"] == 2).all()
    assert first["activation"].min() > 0
    assert table["concept"].dtype.kind == "i"  # an index into the library and its elements
    assert first["contribution"].min() > 0


def test_sheets_show_pictures_and_pieces(world):
    library = ConceptLibrary(np.eye(4), "prototype", elements=np.array([5, 6, 7, 8]))
    explained = pd.DataFrame({
        "picture": [3, 3, 4, 4], "predicted": [3, 3, 0, 0], "place": [1, 2, 1, 2], "concept": [1, 0, 2, 3],
        "contribution": [2.0, 1, 3, 0.5], "activation": [1.0, -2, 1, -1],
    })  # fmt: skip
    figure = experiments.explanation_sheet(explained, library, world.elements, world.test)
    shown = [image.get_array() for image in figure.axes[0].images]
    expected = [world.test.read([3])[0], *world.elements.crops[[6, 5]], world.test.read([4])[0], *world.elements.crops[[7, 8]]]
    np.testing.assert_array_equal(shown, expected)
    texts = {text.get_text() for text in figure.axes[0].texts}
    assert {"said: d", "said: a\nis: e", "like: +2.0", "unlike: +0.5"} <= texts
    sheet = experiments.library_sheet({"prototype": library}, world.elements, count=3)
    np.testing.assert_array_equal([image.get_array() for image in sheet.axes[0].images], world.elements.crops[[5, 6, 7]])
    plt.close("all")
    assert experiments.right_and_wrong([0, 1, 2, 2], [0, 0, 2, 2], 3) == [0, 2, 1]


@pytest.mark.slow
def test_an_edit_of_concepts_that_are_the_factors_does_what_rendering_does(monkeypatch):
    """Features that are the factors themselves, and a library with one axis a value: the edit is exact."""
    train, test = (datasets.load("scenes", count=count, seed=seed) for count, seed in ((1500, 50), (200, 51)))
    values = (*FACTORS["shape"], *FACTORS["texture"])
    names = [f"{'shape' if value in FACTORS['shape'] else 'texture'}: {value}" for value in values]
    library = ConceptLibrary(np.eye(9), "text", names=values, normalisation="concept")

    def seen(pictures):
        return pictures.concepts[names].to_numpy(np.float32)

    def of_rendered(_encoder, pictures):  # what the rendered scenes show, read from their labels (texture x shape)
        shape, texture = np.divmod(pictures.labels, 4)
        return np.concatenate([np.eye(5)[shape], np.eye(4)[texture]], 1).astype(np.float32)

    monkeypatch.setattr(editing.encoders, "load", lambda name: None)
    monkeypatch.setattr(editing.activations, "embeddings", of_rendered)
    classifier = experiments.concept_classifier(library, seen(train), train.labels, keep=9)
    found = editing.intervention("any", classifier, train, seen(train), test, seen(test), factors=["shape"])
    assert found["rendered"].item() > 0.98
    assert found["agreement"].item() > 0.98
    assert found["untouched"].item() == 0  # the shape always changes
    assert found["gain_low"].item() > 0.95
    assert found["told"].item() == 1
    with pytest.raises(ValueError, match="factors: found 'colour', whose value 'red' is no concept"):
        editing.intervention("any", classifier, train, seen(train), test, seen(test), factors=["colour"])
    with pytest.raises(ValueError, match="factors: found 'taste'"):
        editing.intervention("any", classifier, train, seen(train), test, seen(test), factors=["taste"])


def test_edits_are_made_for_all_encoders_and_all_that_concepts_are_learned_from(features, world, monkeypatch):
    seen = []

    def intervention(name, classifier, *_, factors, seed):
        seen.append((name, classifier.library.names, classifier.keep))
        return pd.DataFrame({"factor": factors})

    monkeypatch.setattr(editing, "intervention", intervention)
    swapped = replace(world, names=tuple("uvwxyz"))
    every = experiments.Library("text", least_seen=-1, least_similarity=-1)
    two = {name: features[name] for name in ("local:far", "local:near")}
    found = experiments.interventions(two, {"this": world, "that": swapped}, every, factors=["shape", "colour"])
    assert found["learned_from"].tolist() == ["this"] * 4 + ["that"] * 4
    assert found["representation"].tolist() == ["local:far", "local:far", "local:near", "local:near"] * 2
    assert seen == [(name, names, 6) for names in (world.names, swapped.names) for name in two]


def test_variants_are_named_by_what_differs():
    found = experiments.variants_of([10], [0.5], [50])
    assert list(found)[-3:] == ["weight 10", "s = 0.5", "M = 50"]
    assert found["s = 0.5"] == fine_tuning.Variant(sparsity=0.5)
    assert found[fine_tuning.CONTROL].weight == 0


def tables():
    published = ("resnet20", "convMed_normal", "autoencoder_64", "uva_resnet", "uva_googlenet")
    names = [*(f"published:{name}" for name in published), "local:a,seed=0"]
    accuracy = np.linspace(0.3, 0.9, 6)
    rows = pd.DataFrame({
        "representation": names, "accuracy": accuracy, "raw": accuracy, "corrected": accuracy, "excess": -accuracy, "full": accuracy,
        "refused": "", "concepts": 20, "classes": 10,
    })  # fmt: skip
    return rows, accuracy


def difference_of_values(first, second):
    return Estimate(first.full.value - second.full.value, -1.0, 1.0, 9)


def test_claims_come_out_on_tables_that_are_known(monkeypatch):
    monkeypatch.setattr(paper_claims, "paired_difference", difference_of_values)
    rows, accuracy = tables()
    turned = rows.assign(full=-rows["full"])
    table = pd.concat([rows.assign(library="prototype"), turned.assign(library="cluster"), turned.assign(library="text")])
    scores = {
        name: SimpleNamespace(
            curve=pd.DataFrame({"sparsity": [0.0, 0.5, 0.9], "retention": [1.0, 0.9, 0.9 * one]}),
            excess=Estimate(-one, -one - 0.05, -one + 0.05, 9), refused="", settings={"dims": 64, "libraries": 3, "banks": 3},
            **{number: Estimate(one, 0.0, 1.0, 9) for number in ("accuracy", "full", "corrected")},
        )
        for name, one in zip(rows["representation"], accuracy, strict=True)
    }  # fmt: skip
    sizes = {
        f"{size} concepts": {
            name: SimpleNamespace(settings={"concepts": size}, refused="", full=Estimate(one + size / 100, 0.0, 1.0, 9))
            for name, one in zip(rows["representation"], accuracy, strict=True)
        }
        for size in (10, 50)
    }
    for size, one in zip((10, 50), sizes.values(), strict=True):
        one["local:ignorant,seed=0"] = SimpleNamespace(settings={"concepts": size}, refused="at chance", full=Estimate(-size, 0.0, 1.0, 9))
    curve = pd.DataFrame({
        "encoder": "local:a", "seed": np.repeat([0, 1, 2], 4), "checkpoint": [0, 1, 2, 3] * 3, "presentations": [0, 10, 100, 1000] * 3,
        "full": [0.9, 0.6, 0.5, 0.9, 0.92, 0.6, 0.5, 0.9, 0.9, 0.59, 0.5, 0.9], "corrected": [np.nan, 0.5, 0.6, 0.7] * 3,
        "refused": ["chance", "", "", ""] * 3,
    })  # fmt: skip
    gains = {"cross-entropy only": (0, 0), "sparse concepts": (0.1, -0.005), "s = 0.1": (0.1, 0), "s = 0.9": (0.1, -0.2)}
    gains |= {"all concepts (s = 0)": (0.07, 0), "random vectors, fixed": (0.15, 0)}
    tuned = pd.DataFrame([
        {
            "start": f"local:supervised,seed={seed}", "variant": variant, "full": 0.8 + gain + seed / 1000, "own": 0.9 + loss + noise,
            "interpreted": 0.5 + gain,
        }
        for seed in range(3)
        for variant, (gain, loss) in gains.items()
        for noise in [seed / 1000 * (gain > 0)]
    ])  # fmt: skip
    few = pd.concat([
        pd.DataFrame({
            "representation": f"local:supervised,seed={seed}", "concepts": ["prototype", "prototype", "text", "the representation itself"],
            "limited": ["activations", "activations", "activations", ""], "effective": [10, 50, 10, 64],
            "accuracy": [0.6 + seed / 100, 0.9, 0.9, 0.9], "accuracy_low": [0.58, 0.89, 0.89, 0.89],
            "accuracy_high": [0.62, 0.91, 0.91, 0.91],
        })
        for seed in range(3)
    ])  # fmt: skip
    separations = pd.DataFrame({
        "accuracy": [0.1, 0.3, 0.5, 0.7, 0.9], "full": [1.0, 0.9, 0.8, 0.75, 0.95], "corrected": [np.nan, 0.6, 0.7, 0.1, 0.9],
        "refused": [True, False, False, False, False],
    })  # fmt: skip
    for number in ("full", "corrected"):
        separations = separations.assign(**{f"{number}_low": separations[number] - 0.02, f"{number}_high": separations[number] + 0.02})
    planted = pd.DataFrame({
        "retention": [1.0, 1.01, 0.5], "low": [0.98, 1.0, 0.4], "high": [1.01, 1.02, 0.6], "expected": [1.0, 1.0, np.nan],
    })  # fmt: skip
    edits = pd.DataFrame({
        "factor": ["shape", "colour"] * 2, "learned_from": "the CLIP", "gain": [0.5, 0.01] * 2, "gain_low": [0.4, -0.02] * 2,
        "gain_high": [0.6, 0.04] * 2, "pictures": 100,
    })  # fmt: skip
    ways = pd.concat([rows.assign(way=way) for way in ("mask", "soft", "reweight")] + [turned.assign(way="at random")])
    released = pd.DataFrame({"representation": rows["representation"], "score": rows["raw"]})
    found = experiments.claims(
        SimpleNamespace(seeds=[0, 1, 2], deep="local:supervised"), planted=planted, separations=separations, targets={"class": scores},
        table=table, sizes=sizes, forms=ways, released=released, curve=curve, tuned=tuned,
        few=few, edits=edits,
    )  # fmt: skip
    by = {one.claim: one for one in found}
    derived = by["planted libraries retain what can be derived"]
    assert derived.verdict == "holds"
    assert (derived.here.value, derived.here.low, derived.here.high) == pytest.approx((0.01, -0.02, 0.02))  # the ends of all rows
    assert by["scores of planted classes are U-shaped in accuracy (Q2)"].here.value == pytest.approx(0.15)  # not 0.2 from the least
    assert by["corrected scores of planted classes rise with accuracy (Q2)"].verdict == "holds"
    assert by["class: accuracy and score rise together (C1)"].verdict in ("holds", "inconclusive")
    assert by["class: they do without noisy versions (C1)"].here.value == pytest.approx(1)
    assert by["class: they do above the turning point (Q1)"].verdict == "not testable here"  # too few of them
    assert by["textual concepts rank representations as prototypes do (Q6)"].here.value == pytest.approx(-1)
    assert by["forms of sparsification rank representations alike (Q6)"].here.value == pytest.approx(1)  # an order is no form
    assert by["class: concepts from pictures retain more than random directions (Q5)"].verdict == "inconclusive (1 seed)"
    assert by["class: accuracy and score rise together (C1)"].here.value == pytest.approx(1)
    assert by["class: the excess over random directions grows with accuracy (Q5)"].here.value == pytest.approx(-1)
    assert by["class: concepts from pictures retain more than random directions (Q5)"].here.high == pytest.approx(-0.85)
    assert by["libraries rank representations alike (Q6)"].here.value == pytest.approx(-1)  # text does not count
    assert by["the authors' reading ranks representations as ours does"].here.value == pytest.approx(1)
    assert by["class: at sparsity 0.9 more accurate representations retain more (C2, Q3)"].here.value == pytest.approx(1)
    assert by["class: retention does not rise as fewer concepts speak (Q4)"].verdict == "holds"
    # at the first checkpoint above chance, not at the least score
    assert by["along training of a the score dips (Q7)"].here.value == pytest.approx(0.3, abs=0.01)
    assert by["along training of a the corrected score rises (Q7)"].verdict == "holds"
    assert by["scores rise with the number of concepts (Q9)"].here.value == pytest.approx(0.4)  # that at chance falls
    assert by["fine-tuning for sparse concepts raises the score (Q8)"].verdict == "holds"
    assert by["it raises the score by more than a head on all concepts (s = 0) does (Q8)"].here.value == pytest.approx(0.03)
    assert by["it raises the score by more than one on random fixed vectors does (Q8)"].verdict == "fails"
    assert by["fine-tuning for sparse concepts costs no accuracy (Q8)"].here.value == pytest.approx(-0.005 + 0.001)
    assert by["fine-tuning for sparse concepts raises accuracy (C3)"].verdict in ("fails", "inconclusive")
    assert by["a small sparsity serves fine-tuning better than a large one (Q9)"].here.value == pytest.approx(0.2)
    assert by["10 concepts a picture are enough for a prediction (C4)"].here.value == pytest.approx(-0.29)
    assert by["10 concepts a picture are enough for a prediction (C4)"].verdict == "fails"
    assert by["fine-tuning for sparse concepts raises accuracy from concepts (Q8)"].here.value == pytest.approx(0.1)
    assert by["edits of shape and texture learned from the CLIP do what changing the picture does"].here.value == 0.5
    assert by["edits of what the class does not depend on, learned from the CLIP, change nothing"].verdict == "holds"
    assert by["edits of shape and texture learned from the truth do what changing the picture does"].verdict == "not testable here"
    nothing = experiments.claims(
        SimpleNamespace(seeds=[0], deep="local:supervised"), planted=planted, separations=separations, targets={"class": scores},
        table=table, sizes={"10 concepts": sizes["10 concepts"]}, forms=rows.assign(way="mask"), released=released,
        curve=pd.DataFrame(), tuned=pd.DataFrame(), few=few, edits=pd.DataFrame(),
    )  # fmt: skip
    verdicts = {one.claim: one.verdict for one in nothing}
    for claim in verdicts:
        if "(Q8)" in claim or "fine-tuning" in claim or "edits" in claim or "number of concepts" in claim or "forms" in claim:
            assert verdicts[claim] == "not testable here"
    assert not any("along training" in claim for claim in verdicts)
    of_all = [verdict for claim, verdict in verdicts.items() if claim.startswith("class:")]
    assert of_all == ["inconclusive (1 seed)"] * len(of_all)  # though one of them has too few representations
    assert paper_claims._dip_between_ends(separations).low > 0
    mean = paper_claims._mean_correlation([0.9, 0.1])
    assert (mean.value, mean.low, mean.high) == pytest.approx((0.5, -1, 1))  # Student's interval would reach from -4.6 to 5.6
    assert paper_claims._mean_correlation([0.9, 0.8, 0.85]).low == pytest.approx(0.726, abs=1e-3)
    rising = separations.assign(**dict.fromkeys(("full", "full_low", "full_high"), separations["accuracy"]))
    assert paper_claims._dip_between_ends(rising).high < 0  # a curve without a dip fails
    few_draws = {"settings": {"dims": 64, "libraries": 1, "banks": 3}}
    one_library = {name: SimpleNamespace(**vars(one) | few_draws) for name, one in scores.items()}
    [judged] = [one for one in paper_claims._over_representations("class", one_library, 3, 3) if "retain more than random" in one.claim]
    assert judged.verdict == "not testable here"
    at_chance = {name: SimpleNamespace(**vars(one) | {"refused": "at chance"}) for name, one in scores.items()}
    judged = {one.claim: one.verdict for one in paper_claims._over_representations("class", at_chance, 3, 3)}
    assert {claim for claim, verdict in judged.items() if verdict != "not testable here"} == {
        "class: accuracy and score rise together (C1)", "class: they do without noisy versions (C1)"
    }  # fmt: skip
    ranked = table.assign(refused="at chance")
    assert paper_claims._kendall_between(ranked, "library") is TOO_LITTLE
    assert paper_claims._kendall_between(ranked[ranked["library"] == "text"], "library") is None
    few_names = table.assign(concepts=np.where(table["library"] == "text", 9, 20), classes=10)
    settings = SimpleNamespace(seeds=[0, 1, 2], deep="local:supervised")
    rest = {"curve": pd.DataFrame(), "tuned": pd.DataFrame(), "edits": pd.DataFrame(), "few": few}
    judged = experiments.claims(
        settings, planted=planted, separations=separations, targets={"class": scores}, table=few_names, sizes=sizes, forms=ways,
        released=released, **rest,
    )  # fmt: skip
    verdicts = {one.claim: one.verdict for one in judged}
    assert verdicts["textual concepts rank representations as prototypes do (Q6)"] == "not testable here"


def test_above_the_turning_point_networks_of_one_design_count_each():
    names = [f"published:resnet{depth}{noise}" for depth in (20, 32, 44, 56) for noise in ("", "+noise=0.1")]
    scores = {
        name: SimpleNamespace(
            curve=pd.DataFrame({"sparsity": [0.0, 0.9], "retention": [1.0, 0.9]}), refused="", excess=Estimate(0.0, -1.0, 1.0, 9),
            settings={"dims": 64, "libraries": 3, "banks": 3},
            **{number: Estimate(one, 0.0, 1.0, 9) for number in ("accuracy", "full", "corrected")},
        )
        for name, one in zip(names, np.linspace(0.6, 0.9, 8), strict=True)
    }  # fmt: skip
    judged = {one.claim: one for one in paper_claims._over_representations("class", scores, 1, 3)}
    assert judged["class: they do above the turning point (Q1)"].here.value == pytest.approx(1)
    assert judged["class: accuracy and score rise together (C1)"].verdict == "not testable here"  # one lineage
