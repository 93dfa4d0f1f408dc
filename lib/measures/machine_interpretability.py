"""Machine Interpretability Score (MIS): would a person recognise what one unit responds to?

Zimmermann, Klindt and Brendel, "Measuring Per-Unit Interpretability at Scale Without Humans", NeurIPS 2024. A person is shown K pictures
that excite a unit, K that do not, and two queries, and says which query belongs with the exciting ones. The score lets a perceptual
similarity answer in the person's place.

With q+ and q- the queries, E+ and E- the references and s(q, E) the mean similarity of q to E, one task has the evidence

    Delta = [s(q+, E+) - s(q+, E-)] - [s(q-, E+) - s(q-, E-)],        p = sigmoid(Delta / tau),

and the score of a unit is the mean of p over its N = 20 tasks (paper, section 3). Two readings of the paper are settled here:

* The paper prints sigmoid(0.16 Delta). With cosine similarities |Delta| <= 4, so the printed form cannot exceed 0.655, while the paper
  reports units at 0.99. The default divides by tau = 0.16; `literal_alpha=0.16` gives the printed form.
* References are the N K most extreme pictures and queries the N next ones (ranks 181 to 200), as in the paper's appendix A.2 and the code
  of the human study; other texts have it the other way round.

When the similarity is a dot product of embeddings z, a task is one dot product of two vectors, and all 4 K pairs need not be formed:

    Delta = (z[q+] - z[q-]) . (mean z[E+] - mean z[E-]).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from lib.extremes import Extremes, extremes, full_order
from lib.keyed_random import generator, keys, permutations
from lib.statistics import bootstrap_mean
from lib.threads import share_out

TASKS, REFERENCES = 20, 9
DREAMSIM_TEMPERATURE = 0.16
DREAMSIM_INDICATOR_SCORE = 0.93  # what a one-concept indicator scores at DreamSim's scale (specs/mis.md 6.2 and 9)

Similarity = np.ndarray | Callable[[np.ndarray, np.ndarray], np.ndarray]
_CHUNK_BYTES = 2 * 2**20
_PANEL_DIMS = 128
_CACHE_BYTES = 20 * 2**20
_BLOCK_UNITS = 512


@dataclass(frozen=True)
class MachineInterpretability:
    """The scores of a layer's units, with what is needed to doubt them."""

    score: float  # mean over live units, in [0, 1]; 0.5 is chance
    interval: tuple[float, float]  # 95 % bootstrap over units
    null: float  # mean score of units whose activations were permuted
    two_alternative_rate: float  # mean over live units of the share of tasks with Delta > 0: needs no tau, comparable between similarities
    units: pd.DataFrame  # one row per unit, see `machine_interpretability`
    tasks: np.ndarray  # (units, N) p of every task, first shuffle
    evidence: np.ndarray  # (units, N) Delta of every task, first shuffle
    null_scores: np.ndarray  # (null units,) the null distribution behind p_value
    settings: dict[str, float | int | str | None]


def machine_interpretability(
    activations,
    similarity: Similarity,
    *,
    temperature: float = DREAMSIM_TEMPERATURE,
    literal_alpha: float | None = None,
    tasks: int = TASKS,
    references: int = REFERENCES,
    reshuffles: int = 1,
    query_quantile: float | None = None,
    null_units: int = 1000,
    null: np.ndarray | None = None,
    bootstrap: int = 1000,
    seed: int = 0,
) -> MachineInterpretability:
    """Score every unit of an activation matrix.

    Args:
        activations: either (pictures, units), finite, signs kept (no absolute value, no ReLU added), at least 2 N (K + 1) = 400 pictures;
            or the `Extremes` of a stream over them.
        similarity: (pictures, dims) embeddings whose dot product is the similarity, e.g. centred unit rows; or a function (first, second)
            -> similarities of two equally long arrays of picture indices, for similarities that are not dot products (LPIPS, DISTS):
            4 N K evaluations a unit.
        temperature: tau, in units of the similarity. 0.16 belongs to DreamSim; `calibrate_temperature` finds another similarity's.
        literal_alpha: use the printed form sigmoid(alpha Delta) instead of dividing.
        tasks: N, tasks a unit.
        references: K, references on each side of a task.
        reshuffles: how often the pictures are dealt to tasks anew; the score is the mean over deals. The paper deals once.
        query_quantile: None takes the queries right behind the references; q takes them from rank floor(q M) on ("hard" queries). Needs the
            full matrix and floor(q M) >= N (K + 1).
        null_units: permuted units for the null distribution.
        null: (null units,) a `null_distribution` drawn before with the same settings, instead of a new one: it depends on no activations,
            so layers that are scored on the same pictures can share it. It has one deal; with reshuffles the p-value errs upwards.
        bootstrap: resamples of the units for the interval.
        seed: keys tie-breaking and shuffles by (seed, unit, picture) and (seed, unit, bin), the same for both sides.

    Returns:
        `units` has the columns unit, score, standard_error_tasks, standard_error_reshuffles (NaN with one deal), two_alternative_rate,
        evidence (mean Delta), positive_only and negative_only (the score when only E+ or only E- may speak), p_value (against the null,
        one-sided, at least 1 / (null_units + 1)), live, and the statistics of `Extremes`. Constant units are not live: their scores are
        NaN.

    Raises:
        ValueError: if shapes disagree, values are not finite, there are too few pictures for the tasks or for the quantile, a setting is
            out of range, or every unit is constant.
    """
    _check_settings(temperature, literal_alpha, tasks, references, reshuffles, null_units, null, bootstrap)
    ranked, top, bottom = _ranked_sides(activations, similarity, tasks, references, query_quantile, seed)
    if null is None:
        null = null_distribution(
            ranked.pictures, similarity, temperature=temperature, literal_alpha=literal_alpha, tasks=tasks, references=references,
            units=null_units, seed=seed,
        )  # fmt: skip
    deals = [_evidence(top, bottom, ranked.units, similarity, tasks, references, seed, deal) for deal in range(reshuffles)]
    positive, negative = (np.stack(side) for side in zip(*deals, strict=True))  # (deals, units, tasks)
    units = _unit_table(ranked, positive, negative, _response(temperature, literal_alpha), null)
    score, low, high = bootstrap_mean(units["score"][units["live"]].to_numpy(), resamples=bootstrap, seed=seed)
    evidence = positive[0] + negative[0]
    return MachineInterpretability(
        score=score,
        interval=(low, high),
        null=float(null.mean()),
        two_alternative_rate=float(units["two_alternative_rate"].mean()),
        units=units,
        tasks=_response(temperature, literal_alpha)(evidence),
        evidence=evidence,
        null_scores=null,
        settings={
            "pictures": ranked.pictures,
            "temperature": temperature,
            "literal_alpha": literal_alpha,
            "tasks": tasks,
            "references": references,
            "reshuffles": reshuffles,
            "query_quantile": query_quantile,
            "null_units": len(null),
            "bootstrap": bootstrap,
            "seed": seed,
        },
    )


def task_pictures(
    side: np.ndarray, units: np.ndarray, *, tasks: int = TASKS, references: int = REFERENCES, seed: int = 0, deal: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Deal one side's pictures to tasks.

    Every task gets one reference from each of K bins of N consecutive ranks, and one query from the last bin.

    Args:
        side: (units, N (K + 1)) picture indices, the most extreme first.
        units: (units,) unit indices that key the shuffles, with the bin, so that both sides of a unit are dealt alike.

    Returns:
        references (units, N, K) and queries (units, N). No picture is used twice.
    """
    return _dealt(side, _places(units, tasks, references, seed, deal))


def hard_query_ranks(pictures: int, quantile: float, tasks: int = TASKS, references: int = REFERENCES) -> tuple[slice, slice]:
    """Positions of hard queries in the ascending order of activations: (bottom side, top side), `tasks` consecutive ranks each.

    The bottom side starts at floor(quantile M) and runs inward, the top side mirrors it (human study: q = 1, 5 and 15 %).

    Raises:
        ValueError: if the queries would overlap the references or each other; it says which quantiles are possible.
    """
    start = int(np.floor(quantile * pictures)) if np.isfinite(quantile) else -1
    least = tasks * (references + 1)
    if start < least or 2 * (start + tasks) > pictures:
        raise ValueError(
            f"query_quantile: found {quantile:g}, rank {start} of {pictures} pictures; expected a quantile from {least / pictures:.4g} to "
            f"{0.5 - tasks / pictures:.4g}, "
            "so that queries overlap neither the references nor each other"
        )
    return slice(start, start + tasks), slice(pictures - start - tasks, pictures - start)


def null_distribution(
    pictures: int,
    similarity: Similarity,
    *,
    temperature: float = DREAMSIM_TEMPERATURE,
    literal_alpha: float | None = None,
    tasks: int = TASKS,
    references: int = REFERENCES,
    units: int = 1000,
    seed: int = 0,
) -> np.ndarray:
    """Scores of units that rank the pictures at random, (units,): what permuting activations leaves of any unit.

    Arguments as in `machine_interpretability`.
    """
    count = tasks * (references + 1)
    drawn = np.stack([generator(seed, unit, 1).choice(pictures, 2 * count, replace=False, shuffle=True) for unit in range(units)])
    sides = drawn[:, :count], drawn[:, count:]
    return score_sides(
        *sides, np.arange(units), similarity, temperature=temperature, literal_alpha=literal_alpha, tasks=tasks, references=references,
        seed=seed,
    ).mean(1)  # fmt: skip


def score_sides(
    top: np.ndarray, bottom: np.ndarray, units: np.ndarray, similarity: Similarity, *, temperature: float = DREAMSIM_TEMPERATURE,
    literal_alpha: float | None = None, tasks: int = TASKS, references: int = REFERENCES, seed: int = 0, deal: int = 0,
) -> np.ndarray:
    """Probability of the right answer in every task of units whose exciting and silencing pictures are given.

    Args:
        top: (units, N (K + 1)) picture indices, the most activating first.
        bottom: (units, N (K + 1)), the least activating first.
        units: (units,) unit indices that key the shuffles.
        similarity, temperature, literal_alpha, tasks, references, seed: as in `machine_interpretability`.
        deal: number of the deal.

    Returns:
        (units, N).
    """
    positive, negative = _evidence(top, bottom, units, similarity, tasks, references, seed, deal)
    return _response(temperature, literal_alpha)(positive + negative)


def calibrate_temperature(embeddings, indicators, *, target: float = DREAMSIM_INDICATOR_SCORE, seed: int = 0) -> float:
    """The temperature that puts a similarity on DreamSim's scale: `target` is then the probability in an average task of indicators.

        tau = mean Delta / logit(target)

    With DreamSim's own concepts, mean Delta is about 0.42 and tau 0.16 (specs/mis.md 6.2). Scores are invariant when similarity and tau are
    scaled together, so only this scale matters. A
    similarity whose evidence varies much from task to task scores its own indicators lower than `target`: it is the less reliable judge.

    Args:
        embeddings: (pictures, dims), as for `machine_interpretability`.
        indicators: (pictures, concepts) bool; concepts with fewer than 200 pictures inside or outside are left out, since their queries
            would leave the concept.
        target: in (0.5, 1).
        seed: of the tiny noise that orders the pictures inside a concept, and of the deal.

    Raises:
        ValueError: if no concept is large enough, or on average the similarity does not tell the concepts apart.
    """
    indicators = np.asarray(indicators, bool)
    if not 0.5 < target < 1:
        raise ValueError(f"target: found {target}; expected a probability between 0.5 and 1")
    count = TASKS * (REFERENCES + 1)
    enough = (indicators.sum(0) >= count) & ((~indicators).sum(0) >= count)
    if not enough.any():
        raise ValueError(
            f"indicators: found no concept with at least {count} pictures inside and outside; the largest has {indicators.sum(0).max()}"
        )
    activations = indicators[:, enough] + 1e-3 * generator(seed, 2).standard_normal((len(indicators), int(enough.sum())))
    ranked = extremes(activations, seed=seed)
    evidence = np.sum(_evidence(ranked.top, ranked.bottom, ranked.units, embeddings, TASKS, REFERENCES, seed, 0), axis=0)
    standard_error = evidence.std() / np.sqrt(evidence.size)
    if evidence.mean() <= 3 * standard_error:
        raise ValueError(
            f"embeddings: found a mean evidence of {evidence.mean():.3g} +- {standard_error:.2g} for planted concepts; "
            "expected it clearly above 0"
        )
    return float(evidence.mean() / np.log(target / (1 - target)))


def _ranked_sides(activations, similarity, tasks, references, query_quantile, seed):
    """The extremes and the N (K + 1) pictures on either side, (units, N (K + 1)) each, hard queries in place; checks what it is given."""
    count = tasks * (references + 1)
    if isinstance(activations, Extremes):
        ranked = activations
        if query_quantile is not None:
            raise ValueError(
                "activations: found Extremes together with query_quantile; expected the (pictures, units) matrix, since hard queries lie "
                "inside the ranking"
            )
        if ranked.count < count:
            raise ValueError(
                f"activations: found Extremes with {ranked.count} pictures a side; expected at least {count} for {tasks} tasks of "
                f"{references} + 1"
            )
    else:
        activations = np.asarray(activations)
        ranked = extremes(activations, count=count, seed=seed)
    _check_similarity(similarity, ranked.pictures)
    if ranked.constant.all():
        raise ValueError("activations: every unit is constant; expected at least one whose activation varies")
    top, bottom = ranked.top[:, :count], ranked.bottom[:, :count]
    if query_quantile is not None:
        top, bottom = _with_hard_queries(top, bottom, activations, query_quantile, tasks, seed)
    return ranked, top, bottom


def _unit_table(ranked, positive, negative, respond, null):
    """`MachineInterpretability.units` from what both kinds of references say, (deals, units, tasks) each."""
    evidence = positive + negative
    probabilities = respond(evidence)
    per_deal, per_task = probabilities.mean(2), probabilities.mean(0)
    deals, _, tasks = evidence.shape
    score = per_deal.mean(0)
    live = ~ranked.constant
    units = pd.DataFrame(
        {
            "unit": ranked.units,
            "score": score,
            "standard_error_tasks": per_task.std(1, ddof=1) / np.sqrt(tasks) if tasks > 1 else np.nan,
            "standard_error_reshuffles": per_deal.std(0, ddof=1) / np.sqrt(deals) if deals > 1 else np.nan,
            "two_alternative_rate": (evidence > 0).mean((0, 2)) + 0.5 * (evidence == 0).mean((0, 2)),
            "evidence": evidence.mean((0, 2)),
            "positive_only": respond(positive).mean((0, 2)),
            "negative_only": respond(negative).mean((0, 2)),
            "p_value": (1 + len(null) - np.searchsorted(np.sort(null), score)) / (1 + len(null)),
            "live": live,
        }
    ).join(ranked.statistics)
    units.loc[~live, "score":"p_value"] = np.nan
    return units


def _places(units, tasks, references, seed, deal):
    """Where in its side's ranking the picture of every task and bin is, (units, N, K + 1)."""
    bins = np.arange(references + 1)[:, None]
    places = tasks * bins + permutations(keys(seed, units[:, None, None], bins, deal, np.arange(tasks)))
    return np.ascontiguousarray(places.transpose(0, 2, 1))


def _dealt(side, places):
    """The pictures of one side at these places: references (units, N, K) and queries (units, N)."""
    dealt = np.take_along_axis(side, places.reshape(len(side), -1), 1).reshape(places.shape)
    return dealt[..., :-1], dealt[..., -1]


def _evidence(top, bottom, units, similarity, tasks, references, seed, deal):
    """What the positive and what the negative references say for the right answer, (units, tasks) each; their sum is Delta."""
    panels = None if callable(similarity) else _panels(torch.from_numpy(np.ascontiguousarray(similarity)), picked=2 * top.size)
    positive, negative = (np.empty((len(units), tasks)) for _ in range(2))

    def score(chunks: Iterator[slice]) -> None:
        for rows in chunks:
            places = _places(units[rows], tasks, references, seed, deal)
            sides = *_dealt(top[rows], places), *_dealt(bottom[rows], places)
            positive[rows], negative[rows] = _evidence_of_pairs(similarity, *sides) if panels is None else _evidence_of_dots(panels, *sides)

    if panels is None:
        score(iter([slice(None)]))  # a function of pairs, e.g. a network, has its own batches
    else:
        share_out(score, len(units), _BLOCK_UNITS)
    return positive, negative


def _evidence_of_pairs(similarity, positive, query_positive, negative, query_negative):
    """`_evidence` by definition: 4 K similarities a task."""

    def mean_similarity(queries, sets):
        first = np.broadcast_to(queries[:, :, None], sets.shape)
        return similarity(first.ravel(), sets.ravel()).reshape(sets.shape).mean(2)

    return (
        mean_similarity(query_positive, positive) - mean_similarity(query_negative, positive),
        mean_similarity(query_negative, negative) - mean_similarity(query_positive, negative),
    )


def _evidence_of_dots(panels, positive, query_positive, negative, query_negative):
    """`_evidence` where the similarity is a dot product: (difference of the queries) . (mean of the references)."""
    sets = torch.from_numpy(np.stack([positive, negative], 1))  # (units, 2, N, K)
    first, second = (torch.from_numpy(np.ascontiguousarray(queries)) for queries in (query_positive, query_negative))
    units, _, tasks, references = sets.shape
    parts = torch.zeros(sets.shape[:3], dtype=torch.float64)
    for panel in panels:
        width = panel.shape[1]
        step = max(1, _CHUNK_BYTES // (2 * tasks * width * panel.element_size()))
        for start in range(0, units, step):
            rows = slice(start, start + step)
            difference = panel.index_select(0, first[rows].flatten()).sub_(panel.index_select(0, second[rows].flatten()))
            sums = torch.nn.functional.embedding_bag(sets[rows].reshape(-1, references), panel, mode="sum").view(-1, 2, tasks, width)
            products = sums.mul_(difference.view(-1, 1, tasks, width))
            for group in products.split(_PANEL_DIMS, dim=-1):  # in the same groups however the dimensions are laid out: the same bits
                parts[rows] += group.sum(-1)
    positive_part, negative_part = (parts / references).unbind(1)
    return positive_part.numpy(), -negative_part.numpy()


def _panels(embeddings: torch.Tensor, picked: int) -> list[torch.Tensor]:
    """Groups of dimensions, so few that a panel (pictures, group) stays in the caches while its rows are picked at random.

    A dot product is a sum over panels. There is one panel where copying costs more than picking, or so many pictures that no group fits.
    """
    pictures = len(embeddings)
    column = pictures * embeddings.element_size()
    if picked < 20 * pictures or _PANEL_DIMS * column > _CACHE_BYTES:
        return [embeddings]
    return [panel.contiguous() for panel in embeddings.split(_PANEL_DIMS, dim=1)]


def _response(temperature, literal_alpha):
    """The map from evidence to the probability of the right answer."""
    slope = 1 / temperature if literal_alpha is None else literal_alpha
    return lambda evidence: 0.5 * (1 + np.tanh(0.5 * slope * evidence))  # the logistic function, without overflow


def _with_hard_queries(top, bottom, activations, quantile, tasks, seed):
    """Replace the last bin of each side by ranks from inside the ranking.

    Queries are counted off among the pictures that are no reference, so that no picture is used twice even where many are tied; without
    ties these are the ranks that `hard_query_ranks` names. (With ties inside the ranking a change of sign may draw other tied pictures.)
    """
    references = top.shape[1] - tasks
    low, _ = hard_query_ranks(len(activations), quantile, tasks, references // tasks)
    order = full_order(activations, seed=seed)
    taken = np.zeros(order.shape, bool)
    np.put_along_axis(taken, np.concatenate([top[:, :references], bottom[:, :references]], 1).astype(np.int64), True, 1)
    inside = order[~np.take_along_axis(taken, order, 1)].reshape(len(order), -1)
    start, stop = low.start - references, low.stop - references
    return np.concatenate([top[:, :references], inside[:, start:stop]], 1), np.concatenate(
        [bottom[:, :references], inside[:, ::-1][:, start:stop]], 1
    )


def _check_settings(temperature, literal_alpha, tasks, references, reshuffles, null_units, null, bootstrap):
    if not temperature > 0:
        raise ValueError(f"temperature: found {temperature}; expected a positive number (tau divides; the printed form is literal_alpha)")
    if literal_alpha is not None and not literal_alpha > 0:
        raise ValueError(f"literal_alpha: found {literal_alpha}; expected a positive number or None")
    counts = {"tasks": tasks, "references": references, "reshuffles": reshuffles, "null_units": null_units, "bootstrap": bootstrap}
    for name, value in counts.items():
        if value < 1:
            raise ValueError(f"{name}: found {value}; expected at least 1")
    if null is not None and (np.ndim(null) != 1 or not np.size(null) or not np.isfinite(null).all()):
        raise ValueError(f"null: found an array of shape {np.shape(null)}; expected (null units,) finite scores")


def _check_similarity(similarity, pictures):
    if callable(similarity):
        return
    similarity = np.asarray(similarity)
    if similarity.ndim != 2 or len(similarity) != pictures:
        raise ValueError(
            f"similarity: found shape {similarity.shape}; expected ({pictures}, dims), one embedding per picture, or a function of index "
            "pairs"
        )
    if similarity.dtype.kind != "f":
        raise ValueError(f"similarity: found embeddings of {similarity.dtype}; expected floating-point numbers")
    if not np.isfinite(similarity).all():
        raise ValueError(
            f"similarity: found {np.count_nonzero(~np.isfinite(similarity))} embedding values that are not finite; expected none"
        )
