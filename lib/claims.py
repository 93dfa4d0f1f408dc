"""Claims and their verdicts: computed from an estimate and its interval by a rule that is written down beside it.

| verdict | when |
|---|---|
| holds | the whole 95 % interval is on the claimed side of the bound |
| fails | the whole interval is on the other side |
| inconclusive | the bound is inside the interval, or the claim rests on training and fewer than three seeds were trained |
| not testable here | the profile lacks what the claim is about, or too little of it came out (networks above chance, say) |

Networks trained on another machine are not the same to the last digit, and a claim that rests on one training can fall otherwise there.
So the number of seeds is asked before what came out: what three seeds decide is never decided by one.
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
    here: Estimate | None = None  # None: the profile lacks it; not finite: too little came out
    low: float = -np.inf  # it holds if the interval lies within [low, high]
    high: float = np.inf
    trained_seeds: int | None = None  # of a claim that rests on training: seeds behind it

    @property
    def measured(self) -> bool:
        """Whether there is a number."""
        return self.here is not None and bool(np.isfinite(self.here.value))

    @property
    def verdict(self) -> str:
        """By the rules at the top of this module."""
        if self.here is None:
            return NOT_TESTABLE
        if self.trained_seeds is not None and self.trained_seeds < LEAST_SEEDS:
            return f"{INCONCLUSIVE} ({self.trained_seeds} seed{'s' if self.trained_seeds != 1 else ''})"
        if not self.measured:
            return NOT_TESTABLE
        inside = self.low <= self.here.low and self.here.high <= self.high
        outside = self.here.high < self.low or self.here.low > self.high
        return HOLDS if inside else FAILS if outside else INCONCLUSIVE


def table(claims: list[Claim]) -> pd.DataFrame:
    """Claims as a table: claim, in the paper, rule, here (value and 95 % interval), n, verdict."""
    return pd.DataFrame([{
        "claim": one.claim,
        "in the paper": one.paper,
        "holds if": one.rule,
        "here (95 % CI)": _shown(one.here) if one.measured else "",
        "n": str(one.here.count) if one.measured else "",
        "verdict": one.verdict,
    } for one in claims])


def _shown(estimate: Estimate) -> str:
    known = np.isfinite(estimate.low) and np.isfinite(estimate.high)
    return f"{estimate.value:.2f} [{estimate.low:.2f}, {estimate.high:.2f}]" if known else f"{estimate.value:.2f}"
