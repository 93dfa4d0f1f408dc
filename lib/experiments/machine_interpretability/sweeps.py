"""Scores over encoders, layers, training and settings: everything of notebook 04 that runs a network or the measure."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from sklearn.cluster import KMeans
from tqdm.auto import tqdm

from lib import activations, directions, encoders, human_responses, planted, similarity, statistics, survey
from lib.datasets.pictures import Pictures
from lib.encoders import local, sanity
from lib.experiments.machine_interpretability.tables import lineage, summary, without_seed
from lib.extremes import extremes
from lib.keyed_random import generator, keys, permutations
from lib.linear_probe import linear_probe
from lib.measures.machine_interpretability import (
    DREAMSIM_TEMPERATURE,
    REFERENCES,
    TASKS,
    Similarity,
    calibrate_temperature,
    machine_interpretability,
    score_sides,
)

Arms = dict[str, tuple[np.ndarray, float]]


def arms(names: Sequence[str], temperatures: Sequence[float], pictures: Pictures) -> Arms:
    """Similarities by name: (embeddings, temperature). The first is the main one."""
    if len(names) != len(temperatures):
        raise ValueError(f"temperatures: found {len(temperatures)} for {len(names)} similarities; expected one each")
    return {name: (similarity.embeddings(name, pictures), temperature) for name, temperature in zip(names, temperatures, strict=True)}


def calibration(similarities: Arms, *, seed: int = 0) -> pd.DataFrame:
    """The temperature that puts each similarity on DreamSim's scale, beside the fixed one of the profile, and what planted indicators score
    with the latter.

    The planted concepts are k-means clusters of the similarity's own embeddings, of 300 pictures on average and at most 40: what it sees as
    alike.
    """
    rows = []
    for name, (embeddings, temperature) in similarities.items():
        concepts = min(40, max(2, len(embeddings) // 300))
        clusters = KMeans(concepts, n_init=1, random_state=seed).fit_predict(embeddings)
        indicators = clusters[:, None] == np.arange(concepts)
        row = {"similarity": name, "temperature": temperature, "pictures": len(embeddings)}
        indicators = indicators[:, (indicators.sum(0) >= 200) & ((~indicators).sum(0) >= 200)]
        if indicators.size:
            noise = 1e-3 * generator(seed, 12).standard_normal(indicators.shape)
            scored = machine_interpretability(indicators + noise, embeddings, temperature=temperature, null_units=10, seed=seed)
            row |= {
                "calibrated anew": calibrate_temperature(embeddings, indicators, seed=seed),
                "indicator score": scored.score, "low": scored.interval[0], "high": scored.interval[1],
                "indicator two-alternative rate": scored.two_alternative_rate,
            }  # fmt: skip
        rows.append(row | {"concepts": indicators.shape[1]})
    return pd.DataFrame(rows)


def planted_scores(*, seed: int = 0) -> pd.DataFrame:
    """Units of every planted kind: one row a unit with kind, expected, score and the score of the printed form."""
    embeddings, concept = planted.clustered_embeddings(seed=seed)
    units, table = planted.units(embeddings, concept, seed=seed)
    divided = machine_interpretability(units, embeddings, temperature=DREAMSIM_TEMPERATURE, reshuffles=4, seed=seed)
    printed = machine_interpretability(units, embeddings, literal_alpha=DREAMSIM_TEMPERATURE, null_units=10, seed=seed)
    return table.assign(
        score=divided.units["score"], printed_form=printed.units["score"], two_alternative_rate=divided.units["two_alternative_rate"],
        p_value=divided.units["p_value"], null=divided.null,
    )  # fmt: skip


def with_seeds(names: Sequence[str], seeds: Sequence[int]) -> list[str]:
    """Every local encoder once per seed; others have no seed and are kept as they are."""
    return [
        f"{name},seed={seed}" if name.startswith("local:") else name
        for name in names
        for seed in (seeds if name.startswith("local:") else [0])
    ]


def survey_of(names: Sequence[str], pictures: Pictures, similarities: Arms, **settings) -> pd.DataFrame:
    """`lib.survey.unit_scores` of many encoders, one under the other.

    Three columns are added: family (the name without its seed), lineage (what encoders of one design share, which are not independent), and
    circular (the judge was taught by the labels that taught the studied network, or is that network).
    """
    found = []
    for name in tqdm(names, desc="encoders", leave=False):
        one = survey.unit_scores(name, pictures, similarities, **settings)
        circular = {judge: similarity.is_circular(judge, encoders.load(name)) for judge in similarities}
        found.append(one.assign(circular=one["similarity"].map(circular), family=without_seed(name), lineage=lineage(name)))
    return pd.concat(found, ignore_index=True)


def class_accuracy(name: str, pictures: Pictures, *, share: float = 0.5) -> statistics.Estimate:
    """How well the class can be read linearly from an encoder's embedding, with Wilson's interval.

    A linear probe is fitted on a share of the pictures and judged on the rest. Where there are fewer than
    ten pictures a class to fit it on, the encoder's own head answers; without one the accuracy is NaN.
    """
    encoder = encoders.load(name)
    split = int(share * len(pictures))
    if pictures.labels is None or np.bincount(pictures.labels[:split], minlength=len(pictures.class_names)).min() < _LEAST_PER_CLASS:
        found = sanity.check(encoder, pictures)
        value, interval = (float("nan"), (float("nan"),) * 2) if found.accuracy is None else (found.accuracy, found.interval)
        return statistics.Estimate(value, *interval, found.count)
    right = linear_probe(activations.embeddings(encoder, pictures), pictures.labels, share=share)
    return statistics.proportion(int(right.sum()), len(right))


_LEAST_PER_CLASS = 10


def accuracies(names: Sequence[str], pictures: Pictures) -> pd.DataFrame:
    """`class_accuracy` of many encoders: encoder, accuracy, accuracy_low, accuracy_high."""
    rows = []
    for name in tqdm(names, desc="linear probes", leave=False):
        one = class_accuracy(name, pictures)
        rows.append({"encoder": name, "accuracy": one.value, "accuracy_low": one.low, "accuracy_high": one.high})
    return pd.DataFrame(rows)


def training_curve(name: str, seeds: Sequence[int], pictures: Pictures, similarities: Arms, **settings) -> pd.DataFrame:
    """Score and accuracy of a local encoder at every checkpoint of its training: one row per seed, checkpoint and similarity."""
    parts = []
    for one in with_seeds([name], seeds):
        steps = local.recipe_named(one).checkpoint_steps
        names = [f"{one},checkpoint={number}" for number in range(len(steps))]
        shown = dict(zip(names, (step * local.BATCH_SIZE for step in steps), strict=True))
        table = summary(survey_of(names, pictures, similarities, **settings)).merge(accuracies(names, pictures), on="encoder")
        parts.append(table.assign(presentations=table["encoder"].map(shown), run=one))
    return pd.concat(parts, ignore_index=True)


def difficulty_curve(
    name: str, layers: Sequence[str], pictures: Pictures, similarities: Arms, quantiles: Sequence[float], *, seed: int = 0
) -> pd.DataFrame:
    """Scores when the queries come from further inside the ranking: one row per similarity, layer, quantile and unit; quantile 0 is the
    standard task."""
    found = activations.activations(encoders.load(name), pictures, layers)
    rows = []
    for similarity_name, (embeddings, temperature) in similarities.items():
        for layer, values in found.items():
            for quantile in (None, *quantiles):
                result = machine_interpretability(
                    values, embeddings, temperature=temperature, query_quantile=quantile, null_units=10, seed=seed
                )
                rows.append(
                    result.units[["unit", "score", "two_alternative_rate", "live"]].assign(encoder=name, 
                        pictures=len(pictures), similarity=similarity_name, layer=layer, quantile=quantile or 0.0
                    )
                )
    return pd.concat(rows, ignore_index=True)


def task_number_curve(
    name: str, layers: Sequence[str], pictures: Pictures, embeddings: Similarity, temperature: float, *, seed: int = 0
) -> pd.DataFrame:
    """How far a score from N tasks is from the score from 20: (a) the first N of the 20 tasks, (b) tasks dealt anew from the N (K + 1) most
    extreme pictures.

    One row per N: mean absolute difference over units with its bootstrap interval, for both ways; at N = 20, (b) deals the same pictures
    with another seed.
    """
    ranked = survey.extremes_of(encoders.load(name), pictures, layers, seed=seed)
    pieces = []
    for one in ranked.values():
        full = machine_interpretability(one, embeddings, temperature=temperature, null_units=1, seed=seed)
        for count in range(1, TASKS + 1):
            anew = machine_interpretability(
                one, embeddings, temperature=temperature, tasks=count, null_units=1, seed=seed + (count == TASKS)
            )
            live = full.units["live"].to_numpy()
            first = np.abs(full.tasks[:, :count].mean(1) - full.tasks.mean(1))[live]
            pieces.append(
                pd.DataFrame(
                    {"tasks": count, "first tasks": first, "dealt anew": (anew.units["score"] - full.units["score"]).abs()[live].to_numpy()}
                )
            )
    units = pd.concat(pieces)
    rows = []
    for count, group in units.groupby("tasks"):
        for way in ("first tasks", "dealt anew"):
            mean, low, high = statistics.bootstrap_mean(group[way], seed=seed)
            rows.append({"tasks": count, "way": way, "difference": mean, "low": low, "high": high, "units": len(group)})
    return pd.DataFrame(rows)


def picture_number_curve(
    name: str, layers: Sequence[str], pictures: Pictures, similarities: Arms, numbers: Sequence[int], *, seed: int = 0
) -> pd.DataFrame:
    """The same units ranked over fewer pictures: the fewer, the less extreme the extremes. One row per similarity and number: mean over
    units with interval."""
    found = activations.activations(encoders.load(name), pictures, layers)
    rows = []
    for similarity_name, (embeddings, temperature) in similarities.items():
        for number in numbers:
            chosen = generator(seed, 13).permutation(len(pictures))[:number]
            scores = np.concatenate(
                [
                    machine_interpretability(values[chosen], embeddings[chosen], temperature=temperature, null_units=10, seed=seed)
                    .units["score"]
                    .dropna()
                    for values in found.values()
                ]
            )
            mean, low, high = statistics.bootstrap_mean(scores, seed=seed)
            rows.append({"similarity": similarity_name, "pictures": number, "score": mean, "low": low, "high": high, "units": len(scores)})
    return pd.DataFrame(rows)


def dictionary_scores(
    name: str, layer: str, pictures: Pictures, similarities: Arms, *, widths: Sequence[int], sparsities: Sequence[float], seed: int = 0
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Single units of a layer against principal components, non-negative factors and sparse auto-encoders of several widths.

    Returns:
        Scores, one row per similarity, dictionary and direction; and one row per dictionary: directions, explained variance, active
        directions at a place, dead directions, and the share whose extremes are tied (silent on more than 200 pictures, as sparse codes
        are: their silencing references are drawn at random).
    """
    encoder = encoders.load(name)
    rows = directions.places(activations.maps(encoder, pictures, layer), seed=seed)
    channels = rows.shape[1]
    fitted = [directions.principal_components(rows, channels), directions.non_negative_factors(rows, channels, seed=seed)]
    fitted += [directions.sparse_autoencoder(rows, width, sparsity=sparsity, seed=seed) for width in widths for sparsity in sparsities]
    names = ["units", "PCA", "NMF", *(f"SAE x{width}, sparsity {sparsity:g}" for width in widths for sparsity in sparsities)]
    ranked = activations.stream(
        encoder, pictures, [layer], seed=seed, transforms={new: (layer, one) for new, one in zip(names[1:], fitted, strict=True)}
    )
    ranked["units"] = ranked.pop(layer)
    found = []
    for similarity_name, (embeddings, temperature) in similarities.items():
        for dictionary in names:
            if ranked[dictionary].constant.all():
                continue
            result = machine_interpretability(
                ranked[dictionary], embeddings, temperature=temperature, reshuffles=4, null_units=200, seed=seed
            )
            found.append(result.units.assign(similarity=similarity_name, dictionary=dictionary))
    dead = {dictionary: int(ranked[dictionary].constant.sum()) for dictionary in names}
    tied = {dictionary: float(ranked[dictionary].statistics["tied_extreme"].mean()) for dictionary in names}
    described = [{"dictionary": "units", "directions": channels, "explained": 1.0, "active": float(channels)}]
    described += [
        {"dictionary": new, "directions": one.count, "explained": one.explained, "active": one.active}
        for new, one in zip(names[1:], fitted, strict=True)
    ]
    return pd.concat(found, ignore_index=True), pd.DataFrame(described).assign(
        dead=lambda table: table["dictionary"].map(dead), tied_extreme=lambda table: table["dictionary"].map(tied)
    )


def polysemanticity(
    name: str,
    layers: Sequence[str],
    pictures: Pictures,
    splitter: np.ndarray,
    judge: tuple[np.ndarray, float],
    *,
    null_units: int = 100,
    seed: int = 0,
) -> pd.DataFrame:
    """Is a unit with a low score a mixture of several clear ones? Its exciting pictures are split in two, and each half is scored as a
    unit.

    The halves are two-means clusters of the 200 most activating pictures in the embeddings of one similarity; another similarity judges,
    since
    a judge that chose the clusters itself would find any of them clear. Each half, and the whole for comparison, is scored with as many
    tasks as the smaller half fills (at least 3, at most 10), against the least activating pictures. The control splits the same pictures at
    random into halves of the same sizes. Units that rank the pictures at random (layer "null") go the same way: what they gain is what two
    similarities that resemble each other give to any unit.

    Args:
        name: of the encoder.
        layers: whose units are split.
        pictures: at least 400.
        splitter: (pictures, dims) embeddings that make the clusters.
        judge: embeddings and temperature that score.
        null_units: units that rank at random.
        seed: of shuffles and null.

    Returns:
        One row per unit: layer, unit, whole, split (mean of the two halves), control (mean of the random halves), gain (split - control),
        tasks.
    """
    embeddings, temperature = judge
    ranked = survey.extremes_of(encoders.load(name), pictures, layers, seed=seed)
    ranked["null"] = extremes(np.stack([generator(seed, 15, unit).random(len(pictures)) for unit in range(null_units)], 1), seed=seed)
    parts = []
    for layer, every in ranked.items():
        one = every.take(~every.constant)
        halves = _two_means(torch.from_numpy(splitter), torch.from_numpy(one.top.astype(np.int64)))
        shuffled = np.take_along_axis(halves, permutations(keys(seed, one.units[:, None], np.arange(one.count))), 1)
        split, control = (_mean_of_halves(one, which, embeddings, temperature, seed) for which in (halves, shuffled))
        tasks = _tasks_of(halves)
        whole = np.full(len(halves), np.nan)
        for count in np.unique(tasks[tasks >= _LEAST_TASKS]):
            rows = tasks == count
            whole[rows] = _score(one.top[rows], one.bottom[rows], one.units[rows], count, embeddings, temperature, seed)
        found = {
            "layer": layer,
            "unit": one.units,
            "whole": whole,
            "split": split,
            "control": control,
            "gain": split - control,
            "tasks": tasks,
        }
        parts.append(pd.DataFrame(found).dropna())
    return pd.concat(parts, ignore_index=True)


_LEAST_TASKS, _MOST_TASKS = 3, TASKS // 2


def _two_means(embeddings: torch.Tensor, members: torch.Tensor, iterations: int = 10) -> np.ndarray:
    """Two-means of every unit's pictures at once: (units, pictures) bool. It starts from the most activating picture and the one least like
    it."""
    z = embeddings[members]
    first = z[:, 0]
    second = z[torch.arange(len(z)), torch.einsum("und,ud->un", z, first).argmin(1)]
    for _ in range(iterations):
        half = torch.einsum("und,ud->un", z, second - first) > (second.square().sum(1) - first.square().sum(1))[:, None] / 2
        weight = half.float()
        second = torch.einsum("und,un->ud", z, weight) / weight.sum(1).clamp(min=1)[:, None]
        first = torch.einsum("und,un->ud", z, 1 - weight) / (1 - weight).sum(1).clamp(min=1)[:, None]
    return half.numpy()


def _tasks_of(halves):
    smaller = np.minimum(halves.sum(1), (~halves).sum(1))
    return np.minimum(smaller // (REFERENCES + 1), _MOST_TASKS)


def _mean_of_halves(ranked, halves, embeddings, temperature, seed):
    """Mean score of the two halves of every unit; NaN where the smaller one fills fewer than three tasks."""
    tasks, scores = _tasks_of(halves), np.full(len(halves), np.nan)
    for count in np.unique(tasks[tasks >= _LEAST_TASKS]):
        rows = np.flatnonzero(tasks == count)
        both = []
        for half in (halves[rows], ~halves[rows]):
            members = np.argsort(~half, axis=1, kind="stable")[:, : count * (REFERENCES + 1)]  # in order of activation
            both.append(
                _score(
                    np.take_along_axis(ranked.top[rows], members, 1),
                    ranked.bottom[rows],
                    ranked.units[rows],
                    count,
                    embeddings,
                    temperature,
                    seed,
                )
            )
        scores[rows] = np.mean(both, axis=0)
    return scores


def _score(top, bottom, units, tasks, embeddings, temperature, seed):
    used = tasks * (REFERENCES + 1)
    return score_sides(top[:, :used], bottom[:, :used], units, embeddings, temperature=temperature, tasks=int(tasks), seed=seed).mean(1)


def kinds(name: str, pictures: Pictures, similarities: Arms, *, kinds: Sequence[str], seed: int = 0) -> pd.DataFrame:
    """Scores of an encoder's inner layers of all the given kinds, in order of definition."""
    return survey_of([name], pictures, similarities, kinds=kinds, seed=seed)


def convolutions_behind_norms(name: str, pictures: Pictures) -> dict[str, str]:
    """Batch norm -> the convolution whose output it reads, in an encoder."""
    return activations.norms_behind_convolutions(encoders.load(name), pictures)


def simulated_people(
    name: str, layers: Sequence[str], pictures: Pictures, arm: tuple[np.ndarray, float], *, answers: int = 30, seed: int = 0
) -> pd.DataFrame:
    """People who answer each task right with the probability that the score predicts, and what the analysis of the human study makes of
    them.

    Returns:
        Rows of quantity, value, low, high: the temperature recovered from single answers, the correlation of score and people per unit, the
        split-half ceiling, the disattenuated
        correlation, and the two readings of the paper's noise ceiling.
    """
    embeddings, temperature = arm
    ranked = survey.extremes_of(encoders.load(name), pictures, layers, seed=seed)
    results = [machine_interpretability(one, embeddings, temperature=temperature, null_units=1, seed=seed) for one in ranked.values()]
    live = [result.units["live"].to_numpy() for result in results]
    probabilities = np.concatenate([result.tasks[rows] for result, rows in zip(results, live, strict=True)])
    evidence = np.concatenate([result.evidence[rows] for result, rows in zip(results, live, strict=True)])
    answered = human_responses.simulate_responses(probabilities, answers_per_unit=answers, seed=seed)
    people = human_responses.human_interpretability(answered).sort_values("channel")
    machine = probabilities.mean(1)
    fitted, interval = human_responses.fit_temperature(
        evidence[answered["channel"].astype(int), answered["batch"].astype(int)], answered["correct"]
    )
    reliability = human_responses.split_half_reliability(answered, repeats=200, seed=seed)
    correlation = statistics.correlation(machine, people["score"], kind="pearson", seed=seed)
    ceilings = human_responses.noise_ceiling(people["score"].to_numpy(), machine, answers=answers, simulations=300, seed=seed)
    rows = [
        {"quantity": "temperature, true", "value": temperature},
        {"quantity": "temperature, from single answers", "value": fitted, "low": interval[0], "high": interval[1]},
        {
            "quantity": "correlation of score and people, per unit",
            "value": correlation.value,
            "low": correlation.low,
            "high": correlation.high,
        },
        {"quantity": "highest correlation these answers allow (split half)", "value": reliability.ceiling},
        {"quantity": "correlation, disattenuated", "value": correlation.value / reliability.ceiling},
    ]
    rows += [
        {"quantity": f"noise ceiling if {row.reading}", "value": row.value, "low": row.low, "high": row.high}
        for row in ceilings.itertuples()
    ]
    return pd.DataFrame(rows).assign(units=len(machine), answers=answers)
