"""PPO beyond the registry: how many transitions CartPole takes, ours against purejaxrl's design.

Both have the hyperparameters that purejaxrl publishes, with the rate falling over 500,000
transitions, and are measured alike: after every 2,048 transitions, 20 episodes of the likeliest
actions, from our own environment.
"""

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import statistics
from benchmarks.extras import Study
from benchmarks.peers.ppo import purejaxrl
from benchmarks.results import Row, make_row
from rlsuite.algorithms import ppo
from rlsuite.core import run
from rlsuite.envs.control import control
from rlsuite.nets import Network

ALGORITHM = "ppo"
_SOLVED, _HELD = 475.0, 5
_TOTAL, _TRANSITIONS, _EVERY, _ANNEALED = 149_504, 512, 4, 976


def _ours(seeds: int) -> np.ndarray:
    """Evaluations ``[seed, time]``."""
    result = run(
        ppo.make,
        control("CartPole-v1"),
        ppo.Config(annealing_steps=_ANNEALED),
        jax.random.key(0),
        _TOTAL // _TRANSITIONS,
        num_seeds=seeds,
        evaluate_every=_EVERY,
        chunk_length=_EVERY,
        progress=False,
    )
    return np.asarray(result.evaluations.episode_return)


def _theirs(seeds: int) -> np.ndarray:
    """Likewise of purejaxrl's design."""
    problem = control("CartPole-v1")
    network = purejaxrl.ActorCritic(2)

    def say(params: Any, observations: Any) -> ppo.Outputs:
        said: Any = network.apply(params, observations)
        policy, value = said
        return ppo.Outputs(policy.logits, value)

    actor_critic = ppo.feed_forward(Network(network.init, say))
    evaluate = ppo.make(problem, network=actor_critic).evaluate
    assert evaluate is not None

    def of_seed(key: Any) -> Any:
        example = jax.eval_shape(ppo.make(problem, network=actor_critic).init, key)
        states = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), example)
        _, (_, params) = purejaxrl.train(
            key,
            "CartPole-v1",
            _TOTAL,
            4,
            128,
            2.5e-4,
            each=lambda params: params,
            annealed=_ANNEALED,
        )
        some = jax.tree.map(lambda leaf: leaf[_EVERY - 1 :: _EVERY], params)
        return jax.lax.map(lambda p: evaluate(key, states._replace(params=p)).episode_return, some)

    keys = jax.random.split(jax.random.key(0), seeds)
    return np.asarray(jax.jit(lambda keys: jax.lax.map(of_seed, keys))(keys))


def transitions_until(evaluations: np.ndarray, bar: float, held: int) -> list[float]:
    """After how many transitions each seed's evaluations reached a bar.

    Args:
        evaluations: ``[seed, time]``.
        bar: The least return.
        held: How many evaluations in a row must reach it.

    Returns:
        Those until the first of them; all transitions where there is none.
    """
    found = []
    for curve in evaluations:
        good = np.convolve(curve >= bar, np.ones(held), "valid") == held
        first = int(np.argmax(good)) if good.any() else len(curve) - 1
        found.append(float((first + 1) * _EVERY * _TRANSITIONS))
    return found


def efficiency(seeds: int) -> Iterator[Row]:
    """Train both, and count."""
    for name, curves in ("ours", _ours(seeds)), ("purejaxrl's design", _theirs(seeds)):
        for held, what in (1, "once"), (_HELD, f"{_HELD} times in a row"):
            value, low, high = statistics.median(transitions_until(curves, _SOLVED, held))
            yield make_row(
                suite="scores",
                algorithm=ALGORITHM,
                problem=f"CartPole, {name}",
                metric=f"transitions until {_SOLVED:g}, {what}",
                value=value,
                ci_low=low,
                ci_high=high,
                seeds=seeds,
            )


SCORES = (Study("transitions until CartPole is solved", efficiency),)
SPEED: tuple[Study, ...] = ()
