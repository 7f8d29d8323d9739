import doctest

import numpy as np
import pytest
from scipy import stats

from benchmarks import formats, statistics


def test_interquartile_mean_is_the_mean_of_the_middle_half():
    # 8 scores: the two lowest and the two highest are left out.
    scores = [100.0, 4.0, 1.0, -50.0, 3.0, 2.0, 6.0, 5.0]
    assert statistics.interquartile_mean(scores) == pytest.approx((2 + 3 + 4 + 5) / 4, abs=1e-15)


def test_interquartile_mean_of_an_even_grid_is_its_centre():
    assert statistics.interquartile_mean(np.linspace(-1, 3, 41)) == pytest.approx(1.0, abs=1e-12)


def test_interval_of_a_median_is_that_of_the_binomial_law():
    # The median of a resample of n is at most the k-th order statistic with a probability that the
    # binomial law gives; the percentile interval of a large bootstrap must lie at its quantiles.
    values = np.arange(1.0, 102.0)
    estimate = statistics.median(values)
    ranks = stats.binom.ppf([0.025, 0.975], 101, 0.5) + 1
    assert estimate.value == 51.0
    assert [estimate.low, estimate.high] == pytest.approx(ranks, abs=2.0)


def test_constant_scores_have_an_interval_of_no_width():
    assert statistics.iqm([[2.0] * 5, [2.0] * 5]) == (2.0, 2.0, 2.0)


def test_a_single_score_is_its_own_interval():
    assert statistics.iqm([[3.0]]) == (3.0, 3.0, 3.0)


def test_resampling_is_stratified():
    # Problems far apart, seeds close together: pooled resampling would mix the problems' shares
    # and spread over the range between them; stratified resampling cannot.
    low, high = np.linspace(0, 0.01, 10), np.linspace(100, 100.01, 10)
    estimate = statistics.iqm([low, high])
    assert estimate.value == pytest.approx(50.005, abs=1e-2)
    assert estimate.high - estimate.low < 0.02


def test_ratio_of_medians_cancels_what_disturbs_both_sides():
    # The machine's speed varies threefold, but every pair has the ratio 5.
    ours = np.array([1.0, 3.0, 2.0, 1.5, 2.5, 1.0, 3.0])
    estimate = statistics.ratio_of_medians(5 * ours, ours)
    assert estimate == pytest.approx((5.0, 5.0, 5.0), rel=1e-12)


def test_ratio_of_medians_is_reproducible_and_ordered():
    generator = np.random.default_rng(1)
    peer, ours = generator.lognormal(2, 0.3, 9), generator.lognormal(0, 0.3, 9)
    first, second = (statistics.ratio_of_medians(peer, ours) for _ in range(2))
    assert first == second
    assert first.value == np.median(peer) / np.median(ours)
    assert first.low < first.value < first.high


@pytest.mark.parametrize(
    ("peer", "ours", "complaint"),
    [([1.0, 2.0], [1.0], "length"), ([], [], "length"), ([1.0, 0.0], [1.0, 1.0], "positive")],
)
def test_ratio_of_medians_refuses_wrong_samples(peer, ours, complaint):
    with pytest.raises(ValueError, match=complaint):
        statistics.ratio_of_medians(peer, ours)


@pytest.mark.parametrize("scores", [[], [[]], [[1.0], []], [[1.0, np.nan]]])
def test_iqm_refuses_missing_scores(scores):
    with pytest.raises(ValueError, match=r"empty|finite"):
        statistics.iqm(scores)


@pytest.mark.parametrize("module", [formats, statistics])
def test_examples(module):
    failures, tried = doctest.testmod(module)
    assert tried > 0
    assert failures == 0
