"""What latent models are made of: episodes that fit together, objectives that fit transitions."""

import jax
import jax.numpy as jnp
import pytest

from rlsuite.algorithms import latent_models
from rlsuite.algorithms.latent_models import Config, Recorded
from rlsuite.data.pictures import PictureEpisodes
from rlsuite.envs.lamps import lamps

KEY = jax.random.key(0)
TRANSITIONS = ("mniw", "mniw-steps", "linear", "e2c", "dvbf", "full", "rssm")


def episodes(steps=12, size=3, actions=2, *, costs=True):
    paid = jnp.ones((4, steps)) if costs else None
    return PictureEpisodes(jnp.ones((4, steps + 1, size)), jnp.zeros((4, steps, actions)), paid)


@pytest.mark.parametrize(
    ("training", "held_out", "message"),
    [
        ({}, {"actions": 3}, r"held_out.actions are of shape \(12, 3\), .*allowed: \(12, 2\)"),
        ({}, {"size": 2}, r"held_out.images are of shape \(13, 2\), .*allowed: \(13, 3\)"),
        ({}, {"steps": 15}, r"held_out.images are of shape \(16, 3\)"),
        ({}, {"costs": False}, "held_out.costs is None; allowed where training has costs: costs"),
        ({"costs": False}, {}, "training.costs is None; allowed where held_out has costs: costs"),
    ],
)
def test_held_out_episodes_of_another_kind_are_refused(training, held_out, message):
    with pytest.raises(ValueError, match=message):
        latent_models.make(Recorded(episodes(**training), episodes(**held_out)), Config())


def test_embed_to_controls_objective_is_refused_without_matrices_of_a_state_alone():
    """Before anything is collected or traced; other transitions have them, or a law."""
    message = "'objective' is 'e2c'; allowed with a transition that has no matrices of a state"
    config = Config(transition="rssm", objective="e2c")
    with pytest.raises(ValueError, match=message):
        latent_models.make(Recorded(episodes(), episodes()), config)
    planning = latent_models.PlanningConfig(length=8, model=config)
    with pytest.raises(ValueError, match=message):
        latent_models.make_planner(lamps(), planning)
    for kind in ("linear", "e2c", "dvbf", "full"):
        latent_models.make(
            Recorded(episodes(), episodes()), Config(transition=kind, objective="e2c", how="steps")
        )


@pytest.mark.parametrize("kind", TRANSITIONS)
def test_a_step_leaves_the_state_the_type_that_it_has(kind):
    """Else ``jax.jit`` of it would be compiled twice."""
    how = "smoothed" if kind in ("mniw", "mniw-steps", "linear") else "steps"
    config = Config(transition=kind, how=how, batch_size=2)
    algorithm = latent_models.make(Recorded(episodes(), episodes()), config)
    before = jax.eval_shape(algorithm.init, KEY)
    after, _ = jax.eval_shape(algorithm.step, KEY, before)
    for one, other in zip(jax.tree.leaves(before), jax.tree.leaves(after), strict=True):
        assert (one.shape, one.dtype, one.weak_type) == (other.shape, other.dtype, other.weak_type)
