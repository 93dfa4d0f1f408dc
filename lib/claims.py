"""Claims and their verdicts: computed from an estimate and its interval by a rule that is written down beside it.

| verdict | when |
|---|---|
| holds | the whole 95 % interval is on the claimed side of the bound |
| fails | the whole interval is on the other side |
| inconclusive | the bound is inside the interval, or the claim rests on training and fewer than three seeds were trained |
| not testable here | the profile lacks what the claim is about |
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from lib.statistics import Estimate

HOLDS, FAILS, INCONCLUSIVE, NOT_TESTABLE = "holds", "fails", "inconclusive", "not testable here"
LEAST_SEEDS = 3


@dataclass(frozen=True)
class Claim:
    """One row of a claims table."""

    claim: str
    paper: str  # what the paper says, in numbers where it gives them
    rule: str  # when it holds, in words
    here: Estimate | None = None  # None: not testable here
    low: float = -np.inf  # it holds if the interval lies within [low, high]
    high: float = np.inf
    trained_seeds: int | None = None  # of a claim that rests on training: seeds behind it

    @property
    def verdict(self) -> str:
        """By the rules at the top of this module."""
        if self.here is None or not np.isfinite(self.here.value):
            return NOT_TESTABLE
        inside = self.low <= self.here.low and self.here.high <= self.high
        outside = self.here.high < self.low or self.here.low > self.high
        if self.trained_seeds is not None and self.trained_seeds < LEAST_SEEDS:
            return f"{INCONCLUSIVE} ({self.trained_seeds} seed{'s' if self.trained_seeds != 1 else ''})"
        return HOLDS if inside else FAILS if outside else INCONCLUSIVE


def table(claims: list[Claim]) -> pd.DataFrame:
    """Claims as a table: claim, in the paper, rule, here (value and 95 % interval), n, verdict."""
    return pd.DataFrame([{
        "claim": one.claim,
        "in the paper": one.paper,
        "holds if": one.rule,
        "here (95 % CI)": "" if one.verdict == NOT_TESTABLE else _shown(one.here),
        "n": "" if one.verdict == NOT_TESTABLE else str(one.here.count),
        "verdict": one.verdict,
    } for one in claims])


def _shown(estimate: Estimate) -> str:
    known = np.isfinite(estimate.low) and np.isfinite(estimate.high)
    return f"{estimate.value:.2f} [{estimate.low:.2f}, {estimate.high:.2f}]" if known else f"{estimate.value:.2f}"
