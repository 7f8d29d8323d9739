"""Dreamer's pieces against those of `torchrl` 0.14, on the same weights and inputs.

``torchrl_dreamer_v3.json`` holds what torchrl returned, in float64;
``benchmarks/peers/dreamer/torchrl_golden.py`` wrote it. Inputs are drawn by NumPy from seed 0, here
and there by the same function. Compared are the balanced divergences, the two-hot head, the
recurrent cell, λ-returns, and the losses of policy and critic, imagined and replayed.

Not compared: reconstruction, where torchrl applies symlog to the prediction too and we, as the
published code does, predict the symlog; its default divergence, which is bounded for each variable
rather than for their sum; and gradients of the policy through the model, whose weights torchrl
does not change but whose continuation it does not differentiate.
"""

import dataclasses
import functools
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compiled import compiled

from rlsuite.algorithms.dreamer import behaviour as behaviours
from rlsuite.algorithms.dreamer import v3
from rlsuite.algorithms.dreamer.dynamics import Dynamics, Outcome
from rlsuite.algorithms.dreamer.world import divergences
from rlsuite.envs.control import Actions, Timestep
from rlsuite.nets import Network
from rlsuite.nets.rssm import RSSM, Latent
from rlsuite.ops.distributions import (
    Deterministic,
    OneHotCategorical,
    SymexpTwoHot,
)

FOLDER = Path(__file__).parent
GOLDEN = json.loads((FOLDER / "torchrl_dreamer_v3.json").read_text())

BATCH, TIME, HORIZON, FEATURES, BINS = 2, 3, 3, 4, 255
DISCOUNT, LAMBDA, ENTROPY, UNIMIX = 0.9, 0.8, 0.05, 0.01


@pytest.fixture(autouse=True)
def x64():
    with jax.enable_x64(True):
        yield


@functools.cache
def drawn():
    """The inputs of ``torchrl_golden.py``, in the same order."""
    rng = np.random.default_rng(0)
    shape = (BATCH * TIME, HORIZON + 1)
    sizes = {
        "prior": (5, 4, 3),
        "posterior": (5, 4, 3),
        "logits": (7, BINS),
        "targets": (7,),
        "cell deter": (3, 8),
        "cell stoch": (3, 6),
        "cell action": (3, 3),
        "project_0": (8, 5),
        "project_1": (6, 5),
        "project_2": (3, 5),
        "mix": (2, 19, 4),
        "gates": (2, 4, 12),
        "gains": (4, 8),
        "biases": (5, 24),
        "features": (*shape, FEATURES),
        "rewards": shape,
        "continuations": shape,
        "policy": (FEATURES, 2),
        "value": (FEATURES, BINS),
        "slow": (FEATURES, BINS),
        "replayed rewards": (BATCH, TIME),
    }
    found = {name: rng.normal(size=size) for name, size in sizes.items()}
    found["logits"] *= 3
    found["targets"] = np.array([0.0, 0.3, -1.7, 25.0, -4e3, 1e6, 9e9])
    found["continuations"] = 1 / (1 + np.exp(-found["continuations"]))
    found["continuations"][:, 0] = 1.0
    found["continuations"][1, 0] = 0.0
    found["rewards"] *= 3
    return found


def close(found, part, name, tolerance=1e-10):
    np.testing.assert_allclose(found, GOLDEN[part][name], rtol=tolerance, atol=tolerance)


def test_the_divergences_are_torchrls():
    """With unimix, summed over the variables, bounded below, and each half with its gradient."""
    x = drawn()
    model = dataclasses.replace(v3().model, free_nats=0.7, representation_scale=1.0)

    def terms(posterior, prior):
        return divergences(
            model, OneHotCategorical(posterior, UNIMIX), OneHotCategorical(prior, UNIMIX)
        )

    found = compiled(terms)(x["posterior"], x["prior"])
    slopes = compiled(jax.grad(lambda *a: sum(terms(*a).values()), argnums=(0, 1)))(
        x["posterior"], x["prior"]
    )
    close(found["dynamics"], "kl", "dynamics")
    close(found["representation"], "kl", "representation")
    close(slopes[0], "kl", "posterior_gradient")
    close(slopes[1], "kl", "prior_gradient")


def test_the_twohot_head_is_torchrls():
    x = drawn()

    @compiled
    def said(logits, targets):
        head = SymexpTwoHot(logits)
        return head.log_prob(targets), head.mean()

    log_prob, mean = said(x["logits"], x["targets"])
    close(-log_prob, "twohot", "cross_entropy")
    close(mean, "twohot", "mean")


def test_the_recurrent_cell_is_torchrls():
    """To float32, in which torchrl normalises."""
    x = drawn()
    gains, biases = x["gains"], x["biases"]
    params = {
        f"project_{i}": {
            "Dense_0": {"kernel": x[f"project_{i}"], "bias": biases[i, :5]},
            "RMSNorm_0": {"gain": gains[i, :5]},
        }
        for i in range(3)
    }
    params["mix"] = {"kernel": x["mix"], "bias": biases[3, :8]}
    params["mix_norm"] = {"gain": gains[3]}
    kernels, offsets = np.split(x["gates"], 3, axis=-1), biases[4].reshape(2, 3, 4)
    for i in range(3):
        params[f"gates_{i}"] = {"kernel": kernels[i], "bias": offsets[:, i].reshape(8)}
    weights = jax.device_put({"params": params})
    rssm = RSSM(deter=8, stoch=2, classes=3, hidden=5, blocks=2)

    def after(deter):
        stoch, action = (jnp.asarray(x[f"cell {name}"]) for name in ("stoch", "action"))
        return rssm.apply(weights, Latent(deter, stoch), action, method="recur")

    close(compiled(after)(x["cell deter"]), "cell", "deter", 1e-6)
    slope = compiled(jax.grad(lambda h: jnp.sum(after(h))))(x["cell deter"])
    close(slope, "cell", "gradient", 3e-6)


def replayed(x):
    """Two sequences; in the first, an episode ends with its second time step."""
    ends, first = np.zeros((2, BATCH, TIME), bool)
    ends[0, 1] = first[:, 0] = first[0, 2] = True
    observation = np.zeros((BATCH, TIME, 1))
    return Timestep(observation, x["replayed rewards"], first, ends, ends)


def at(name, state):
    return jnp.asarray(drawn()[name])[state[..., 0], state[..., 1]]


# Trajectories are fixed: a state is (which start, how many steps on).
DYNAMICS = Dynamics(
    transition=lambda _, key, state, action: Deterministic(state + jnp.array([0, 1])),
    outcome=lambda _, state, action, after: Outcome(
        Deterministic(at("rewards", after)), Deterministic(at("continuations", after))
    ),
    features=lambda _, state: at("features", state),
)
LINEAR = Network(init=None, apply=lambda weights, features: features @ weights)
losses = compiled(behaviours.losses, static_argnames=("dynamics", "networks", "actions"))


def judged(x, key, replay_value_scale):
    """Our losses along these trajectories."""
    behaviour = dataclasses.replace(
        v3().behaviour,
        horizon=HORIZON,
        discount=DISCOUNT,
        lambda_=LAMBDA,
        entropy=ENTROPY,
        policy_unimix=UNIMIX,
        range_rate=1.0,
        range_floor=0.1,
        replay_value_scale=replay_value_scale,
    )
    starts = np.arange(BATCH * TIME).reshape(BATCH, TIME)
    zero = np.zeros(())
    return losses(
        x["policy"],
        x["value"],
        x["slow"],
        None,
        behaviours.Range(zero, zero),
        key,
        np.stack([starts, np.zeros_like(starts)], axis=-1),
        replayed(x),
        dynamics=DYNAMICS,
        networks=behaviours.Heads(LINEAR, LINEAR),
        actions=Actions(sizes=(2,), single=True),
        config=v3(behaviour=behaviour),
    )


def test_the_policys_loss_is_torchrls():
    """For some choice of its 18 actions, whatever the key.

    torchrl's losses are those of all actions being the first, and of one of them at a time being
    the second. A loss within 1e-9 of one of the 262,144 sums, all of order 1, is no coincidence.
    """
    x = drawn()
    all_first, *others = GOLDEN["behaviour"]["policy_losses"]
    sums = np.array([all_first])
    for other in others:
        sums = np.concatenate([sums, sums + other - all_first])
    assert np.ptp(sums) > 0.1
    losses = [float(judged(x, jax.random.key(i), 0.0).policy) for i in range(3)]
    assert len(set(losses)) == 3
    for loss in losses:
        assert np.min(np.abs(sums - loss)) < 1e-9


def test_the_critics_losses_are_torchrls():
    """Towards imagined returns and the slow critic's values, and towards those of the replay."""
    x = drawn()
    imagined, both = (judged(x, jax.random.key(0), scale).value for scale in (0.0, 1.0))
    close(imagined, "behaviour", "value_loss")
    close(both - imagined, "behaviour", "replayed_value_loss")


def test_returns_and_weights_are_torchrls():
    x = drawn()
    behaviour = dataclasses.replace(v3().behaviour, discount=DISCOUNT, lambda_=LAMBDA)

    @compiled
    def found(x, steps):
        values = SymexpTwoHot(x["features"] @ x["value"]).mean().T
        rewards, continuations = (x[name][:, 1:].T for name in ("rewards", "continuations"))
        imagined = behaviours.Imagined(None, values[..., None], None, None, rewards, continuations)
        returns = behaviours.returns_of(imagined, values, behaviour)
        weights = behaviours.weights(x["continuations"][:, 0], DISCOUNT * continuations)
        starts = returns[0].reshape(BATCH, TIME)
        return returns, weights, behaviours.replayed_returns(steps, starts, behaviour)

    returns, weights, of_replay = found(x, replayed(x))
    close(returns.T, "behaviour", "returns")
    close(weights.T, "behaviour", "weights")
    close(of_replay, "behaviour", "replayed_returns")
