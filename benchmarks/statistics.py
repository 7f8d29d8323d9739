r"""Summaries of repeated measurements: interquartile mean, medians and bootstrap intervals.

The interquartile mean (IQM) is the mean of the middle half of the runs,

.. math:: \operatorname{IQM}(x) = \text{mean of } x \text{ without its lowest and highest quarter,}

which a single failed seed cannot move and which uses more of the data than the median. Intervals
are 95 % percentile bootstrap intervals. Scores of several problems are resampled within each
problem (stratified), so every resample has all problems in it.

Reference:
    Agarwal et al., "Deep Reinforcement Learning at the Edge of the Statistical Precipice",
    NeurIPS 2021, section 4.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

RESAMPLES = 2000


class Estimate(NamedTuple):
    """A number and the interval in which it lies with 95 % confidence.

    Attributes:
        value: The estimate from all data.
        low: The lower end of the interval.
        high: The upper end of the interval.
    """

    value: float
    low: float
    high: float


def interquartile_mean(values: ArrayLike) -> float:
    """Return the mean of the middle half of ``values``.

    Args:
        values: Any number of scores, at least one.

    Returns:
        The mean after the lowest and the highest quarter (rounded down) were removed.

    Example:
        >>> interquartile_mean([0.0, 1.0, 2.0, 100.0])
        1.5
    """
    return float(stats.trim_mean(np.ravel(values), 0.25))


def iqm(scores: Sequence[ArrayLike]) -> Estimate:
    """Return the interquartile mean over problems and seeds with its stratified interval.

    Args:
        scores: For each problem the scores of its seeds; pass one sequence for one problem.

    Returns:
        The IQM of all scores pooled; the interval resamples the seeds of each problem apart.

    Raises:
        ValueError: There is no score, or one is not finite.
    """
    strata = [np.ravel(np.asarray(values, dtype=float)) for values in scores]
    if not strata or any(values.size == 0 for values in strata):
        raise ValueError("scores is empty; at least one score for each problem is needed")
    return _estimate(lambda *parts: interquartile_mean(np.concatenate(parts)), strata, paired=False)


def ratio_of_medians(numerator: ArrayLike, denominator: ArrayLike) -> Estimate:
    """Return the ratio of the medians of two interleaved samples, with its interval.

    Args:
        numerator: Timings of one side, in the order of measurement.
        denominator: Timings of the other side; entry i was measured right after ``numerator[i]``.

    Returns:
        Median over median. The interval resamples pairs, because what disturbed the machine
        during one disturbed its neighbour too.

    Raises:
        ValueError: The samples differ in length, are empty or not positive.
    """
    pair = [np.asarray(numerator, dtype=float), np.asarray(denominator, dtype=float)]
    if pair[0].shape != pair[1].shape or pair[0].ndim != 1 or pair[0].size == 0:
        shapes = f"{pair[0].shape} and {pair[1].shape}"
        raise ValueError(f"both samples must be vectors of one length, not of shape {shapes}")
    if min(sample.min() for sample in pair) <= 0:
        raise ValueError("timings must be positive")
    return _estimate(lambda a, b: float(np.median(a) / np.median(b)), pair, paired=True)


def median(values: ArrayLike) -> Estimate:
    """Return the median with its interval."""
    sample = np.ravel(np.asarray(values, dtype=float))
    return _estimate(lambda part: float(np.median(part)), [sample], paired=False)


def _estimate(
    statistic: Callable[..., float], samples: list[np.ndarray], *, paired: bool
) -> Estimate:
    """Evaluate ``statistic`` and bootstrap it; a single observation has no interval but itself."""
    if not all(np.isfinite(sample).all() for sample in samples):
        raise ValueError("a measurement is not finite")
    value = statistic(*samples)
    if max(sample.size for sample in samples) < 2:
        return Estimate(value, value, value)
    if any(sample.size < 2 for sample in samples):
        raise ValueError("either all samples have one observation, or all have two or more")
    result = stats.bootstrap(
        samples,
        statistic,
        n_resamples=RESAMPLES,
        paired=paired,
        vectorized=False,
        method="percentile",
        rng=np.random.default_rng(0),
    )
    low, high = result.confidence_interval
    return Estimate(value, float(low), float(high))
