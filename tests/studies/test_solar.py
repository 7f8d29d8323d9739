"""The parts of SOLAR's study, against what is known of them."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rlsuite.algorithms import latent_models, ppo
from rlsuite.algorithms.latent_models import ActorCriticConfig, PlanningConfig
from rlsuite.io.stages import Stages
from rlsuite.ops import mniw
from rlsuite.problems.latent_models import SYSTEM
from rlsuite.studies.solar import claims, curves, pictures, spectra, transitions


def texts(table):
    return [[cell.text for cell in row] for row in table.rows]


def test_ranks_that_agree_correlate_and_others_do_not():
    seeds = np.arange(3.0)
    found = {
        kind: transitions.Scores(
            iwae=10.0 * place + seeds,
            first_nll=-(10.0 * place + seeds),
            last_nll=10.0 * place + seeds,
            control=-np.exp(10.0 * place + seeds),
        )
        for place, kind in enumerate(("linear", "e2c", "mniw"))
    }
    rows = {(row[0], row[1]): row[2:] for row in texts(transitions.correlations(found))}
    assert rows["IWAE", "prediction 1 ahead"][:2] == ["1", "1"]
    assert rows["IWAE", "prediction far ahead"][:2] == ["-1", "-1"]
    assert rows["prediction far ahead", "return"][:2] == ["1", "1"]
    assert rows["IWAE", "return"][:2] == ["-1", "-1"]
    assert float(rows["IWAE", "return"][2]) < 1e-6
    assert len(transitions.draw(found).axes) == 2


def test_eigenvalues_do_not_depend_on_coordinates():
    rng = np.random.default_rng(0)
    A, change = rng.normal(size=(2, 4, 4))
    other = change @ A @ np.linalg.inv(change)
    F, same = (np.concatenate([x, rng.normal(size=(4, 2))], axis=1) for x in (A, other))
    found = spectra.eigenvalues(np.stack([F, same]))
    np.testing.assert_allclose(np.abs(found[0]), np.abs(found[1]), rtol=1e-9)
    assert (np.diff(np.abs(found), axis=-1) <= 1e-12).all()


def test_what_is_drawn_has_the_mean_and_the_spread_of_its_law():
    """Of a law that many pairs have taught, all draws lie where the truth is."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(5000, 4))
    true = np.concatenate([SYSTEM.state, SYSTEM.action, np.zeros((2, 1))], axis=1)
    y = x @ true.T + rng.multivariate_normal(np.zeros(2), SYSTEM.noise, len(x))

    @jax.jit
    def learned(x, y):
        prior = mniw.to_natural(mniw.prior(2, 2))
        return mniw.posterior(prior, mniw.statistics(x, y))

    law = learned(jnp.asarray(x, float), jnp.asarray(y, float))
    draws = spectra.draws_of(law)
    assert draws.shape == (1000, 2, 4)
    # The error of a regression: σ / √N.
    np.testing.assert_allclose(draws.std(axis=0)[0], np.sqrt(0.1 / 5000), rtol=0.2)
    assert spectra.covered(draws, true).mean() >= 0.75
    assert not spectra.covered(draws, true + 0.1).any()
    values = spectra.eigenvalues(draws)
    np.testing.assert_allclose(np.abs(values).mean(axis=0), np.sqrt(0.74), atol=0.02)


def test_states_are_compared_up_to_an_affine_map():
    rng = np.random.default_rng(2)
    truth = rng.normal(size=(9, 7, 2))
    blank = np.zeros((8, 4, 4, 1))
    path = truth[0]
    exact = pictures.Seen(truth @ rng.normal(size=(2, 3)) + 1.0, truth, blank, blank, blank, path)
    mapped, share = pictures.explained(exact)
    np.testing.assert_allclose(mapped, truth, atol=1e-9)
    assert share == pytest.approx(1.0)
    blind = exact._replace(means=rng.normal(size=(9, 7, 3)))
    assert pictures.explained(blind)[1] < 0.2
    assert [made.kind for made in pictures.of_run(exact)] == ["png", "png", "gif"]


def test_transitions_are_trained_tested_and_acted_in(tmp_path):
    """And read back: a study that goes on does not train again."""
    sizes = transitions.Sizes(3, 3, 2, 1, ("linear",), ("plain", "whitened"))
    made = transitions.section(sizes, Stages(tmp_path))
    scores, prepared, _, calibration = made.tables
    assert [row[0] for row in texts(scores)] == [row[0] for row in texts(prepared)] == ["linear"]
    # After three updates, only what was prepared knows anything of the pictures.
    plain, known = (float(texts(x)[0][1].split()[0].replace(",", "")) for x in (scores, prepared))
    assert known > plain
    assert np.isfinite(float(texts(calibration)[0][2]))
    again = transitions.section(sizes, Stages(tmp_path, resume=True))
    assert texts(again.tables[0]) == texts(scores)


def test_coverage_is_of_every_entry_of_every_set_of_episodes():
    made = spectra.section(spectra.Sizes(2, 3, 2), Stages())
    moduli, coverage = made.tables
    assert [row[1] for row in texts(moduli)[:2]] == ["1", "2"]
    # det A = .74, and its eigenvalues are a pair.
    assert [float(row[2]) for row in texts(moduli)[:2]] == pytest.approx([0.86, 0.86], abs=1e-3)
    assert [int(row[-1]) for row in texts(coverage)] == [2 * 2 * 4, 2 * 5 * 2 * 4]


def test_costs_are_told_over_the_best_ones():
    """Half the seeds of SOLAR cost as much as the best controller."""
    best = transitions.known_returns()["optimal"]
    steps = np.asarray([100.0, 110.0, 120.0])
    ours = curves.Curve(steps, best * np.asarray([[4.0, 1.4, 1.0], [4.0, 1.4, 1.0]]))
    other = curves.Curve(steps, best * np.asarray([[4.0, 3.0, 2.0], [4.0, 3.0, 2.0]]))
    table = curves.table_of({curves.SOLAR: ours, "PPO": other}, best)
    ours, other = texts(table)
    assert ours[1:5] == ["120", "1 (1 … 1)", "1, 1", "110"]
    assert other[2:5] == ["2 (2 … 2)", "2, 2", "–"]


def test_methods_are_what_their_names_say():
    """All are made, as everything but what tells them apart is the same."""
    sizes = claims.FULL.curves
    configs = {}
    for name in curves.METHODS:
        make, configs[name] = curves.method(name, sizes)
        assert make(transitions.point(), configs[name]).evaluate is not None
    ours, plans = configs.pop(curves.SOLAR), configs["planning in the model"]
    told_apart = {
        "without sequences (VAE)": (ours, {"representation": "independent"}),
        "principal components (LQR-FLM)": (ours, {"representation": "components"}),
        "SOLAR, model of the first episodes": (ours, {"updates": 0}),
        "SOLAR, whole natural gradient": (ours, {"full": True}),
        "planning along gradients": (plans, {"model": latent_models.Config(planner="gradients")}),
    }
    for name, (like, changes) in told_apart.items():
        assert configs.pop(name) == dataclasses.replace(like, **changes)
    assert set(map(type, configs.values())) == {PlanningConfig, ActorCriticConfig, ppo.Config}


def test_the_point_is_learned_and_filmed():
    sizes = curves.Sizes(10, 2, 2, 1, 1, 1, 1, (curves.SOLAR,))
    made = curves.section(sizes, Stages())
    assert [x.name for x in made.pictures] == [
        "curves",
        "trajectories",
        "reconstructions",
        "controlled",
    ]
    (row,) = texts(made.tables[0])
    assert row[0] == curves.SOLAR
    assert float(row[3]) > 1.0
