"""Recorded episodes for latent models: of a linear system, and of a point seen in pictures."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from rlsuite.algorithms import latent_models
from rlsuite.algorithms.latent_models import Config, LatentModel, LatentParams, Recorded
from rlsuite.data.pictures import PictureEpisodes, collect, to_light, wander
from rlsuite.envs.pixels import pixel_navigation
from rlsuite.nets import Network
from rlsuite.ops import gaussian
from rlsuite.registry import Entry, Problem


class System(NamedTuple):
    """A linear system, s' ~ N(A s + B a, W), of which s + N(0, σ² I) is seen.

    Attributes:
        state: A.
        action: B.
        noise: W.
        seen: σ.
    """

    state: Float[np.ndarray, "n n"]
    action: Float[np.ndarray, "n m"]
    noise: Float[np.ndarray, "n n"]
    seen: float


SYSTEM = System(
    np.asarray([[0.9, 0.2], [-0.1, 0.8]], np.float32),
    np.asarray([[0.0], [0.5]], np.float32),
    np.asarray([[0.1, 0.02], [0.02, 0.05]], np.float32),
    0.3,
)
"""That of ``linear_system``."""

_SYSTEM = Config(
    transition="linear",
    size=2,
    learning_rate=2e-2,
    natural_rate=0.2,
    temper=1.0,
    horizon=2,
    evaluation_episodes=20,
    evaluation_samples=2,
)
_POINT = Config(horizon=5, evaluation_episodes=20)


def linear_system(count: int = 100, held_out: int = 20, steps: int = 5, seed: int = 0) -> Recorded:
    """Episodes of a linear system of two numbers, which are seen through noise.

    Args:
        count: Episodes to learn from.
        held_out: Episodes to be tested on.
        steps: T.
        seed: Of the draws.

    Returns:
        The episodes, of random actions; nothing costs anything.
    """
    rng = np.random.default_rng(seed)
    states = [rng.normal(size=(count + held_out, 2))]
    actions = rng.uniform(-1, 1, size=(count + held_out, steps, 1))
    for t in range(steps):
        shaken = rng.multivariate_normal(np.zeros(2), SYSTEM.noise, len(actions))
        states.append(states[-1] @ SYSTEM.state.T + actions[:, t] @ SYSTEM.action.T + shaken)
    seen = np.stack(states, axis=1)
    seen = seen + SYSTEM.seen * rng.normal(size=seen.shape)
    every = PictureEpisodes(jnp.asarray(seen, float), jnp.asarray(actions, float), None)
    return _parted(every, count)


def seen_directly(problem: Recorded, config: Config) -> LatentModel:
    """A model that knows how states of the linear system are seen, but not how they move.

    Args:
        problem: Of ``linear_system``.
        config: Of which the transition's part counts.

    Returns:
        The model, whose potentials are the likelihoods of what is seen.

    Raises:
        ValueError: If its states are not of two numbers.
    """
    if config.size != 2:
        raise ValueError(f"config field 'size' is {config.size}; allowed with this problem: 2")
    sure = -2 * np.log(SYSTEM.seen)
    return LatentModel(
        Network(lambda *_: (), lambda _, x: (x, jnp.full_like(x, sure))),
        Network(lambda *_: (), lambda _, x: x),
        latent_models.normal(SYSTEM.seen),
        latent_models.transition_of(config, *problem.training.actions.shape[:0:-1]),
        2,
    )


def pixel_episodes(count: int = 100, held_out: int = 20, steps: int = 20) -> Recorded:
    """Episodes of a point that wanders in a picture of 16×16 pixels.

    Args:
        count: Episodes to learn from.
        held_out: Episodes to be tested on.
        steps: T.

    Returns:
        The episodes, of random actions, with what they cost.
    """
    control = pixel_navigation(1, side=16, steps=steps)
    agent = wander(control.actions.size, 0.5)

    def walk(key: PRNGKeyArray) -> PictureEpisodes:
        return collect(control, *agent, key, count + held_out, steps)[0]

    return _parted(jax.jit(walk)(jax.random.key(0)), count)


def _parted(every: PictureEpisodes, count: int) -> Recorded:
    training = jax.tree.map(lambda x: x[:count], every)
    return Recorded(training, jax.tree.map(lambda x: x[count:], every))


def known_evidence(problem: Recorded) -> dict[str, float]:
    """What held-out episodes of the linear system are worth, in nats.

    Args:
        problem: Of ``linear_system``.

    Returns:
        The mean log density of an episode under independent normal laws, fitted to what was seen,
        and under the true system.
    """
    shown, others = (np.asarray(part.images) for part in problem)
    spread = np.std(shown, axis=(0, 1))
    apart = np.square((others - np.mean(shown, axis=(0, 1))) / spread)
    alone = -(apart + np.log(2 * np.pi * np.square(spread))) / 2

    def evidence(episode: PictureEpisodes) -> Array:
        start = gaussian.Moments(jnp.zeros(2), jnp.eye(2))
        pushed = episode.actions @ SYSTEM.action.T
        law = jnp.asarray(SYSTEM.state), jnp.asarray(SYSTEM.noise)
        chain = gaussian.time_invariant(start, *law, pushed)
        told = gaussian.diagonal(episode.images, jnp.full_like(episode.images, SYSTEM.seen**2))
        return gaussian.filter(chain, told).log_evidence

    best = jax.jit(jax.vmap(evidence))(problem.held_out)
    return {
        "random": float(np.mean(np.sum(alone, axis=(1, 2)))),
        "optimal": float(jnp.mean(best)),
    }


def picture_evidence(problem: Recorded) -> dict[str, float]:
    """What held-out pictures and costs are worth if all are like the mean, in nats of an episode.

    Args:
        problem: Of ``pixel_episodes``.

    Returns:
        The mean over episodes, of a Bernoulli law of each pixel and a normal one of costs.
    """
    shown, others = (np.asarray(to_light(part.images)) for part in problem)
    light = np.clip(np.mean(shown, axis=(0, 1)), 1e-3, 1 - 1e-3)
    pictures = np.sum(others * np.log(light) + (1 - others) * np.log1p(-light), axis=(1, 2, 3, 4))
    paid, costs = (np.asarray(part.costs) for part in problem)
    apart = np.square((costs - np.mean(paid)) / np.std(paid))
    paid = -np.sum(apart + np.log(2 * np.pi * np.var(paid)), axis=1) / 2
    return {"random": float(np.mean(pictures + paid))}


def foreseen(
    problem: Recorded, model: LatentModel, params: LatentParams, seen: int, paths: int = 50
) -> Float[Array, "..."]:
    """What is expected to be seen in the first held-out episode, as its actions go on.

    Args:
        problem: Recorded episodes.
        model: The model.
        params: Its parameters.
        seen: How many observations are known, at least 1.
        paths: Over how many paths the mean is taken.

    Returns:
        Mean observations after those.
    """
    episode = jax.tree.map(lambda x: x[0], problem.held_out)
    known = latent_models.settled(model.transition, params.transition)
    images, actions = to_light(episode.images[:seen]), episode.actions

    def path(key: PRNGKeyArray) -> Array:
        of_filter, of_path = jax.random.split(key)
        told = latent_models.filter_states(
            of_filter, model, params, known, images, actions[: seen - 1]
        )
        belief = jax.tree.map(lambda x: x[-1], told)
        ahead = actions[seen - 1 :]
        states = latent_models.predict(of_path, model.transition, known, belief, ahead)
        return latent_models.decoded(model, params, states)

    drawn = jax.jit(jax.vmap(path))(jax.random.split(jax.random.key(0), paths))
    return jnp.mean(drawn, axis=0)


def draw_numbers(problem: Recorded, config: Config, state: Any) -> Any:
    """A held-out episode: what is seen (dots), and what was expected after the second step."""
    from matplotlib.figure import Figure

    model = seen_directly(problem, config)
    found = foreseen(problem, model, state.params, 2)
    figure = Figure(figsize=(5, 3), layout="constrained")
    axes = figure.subplots()
    truth = problem.held_out.images[0]
    times = np.arange(len(truth))
    for index, colour in enumerate(("#2563eb", "#dc6803")):
        axes.plot(times, truth[:, index], ".", color=colour)
        axes.plot(times[2:], found[:, index], color=colour)
    axes.set(xlabel="step")
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def draw_pictures(problem: Recorded, config: Config, state: Any) -> Any:
    """A held-out episode above; below, what was expected of it after four pictures."""
    from matplotlib.figure import Figure

    model = latent_models.default_model(problem, config)
    found = foreseen(problem, model, state.params, 4)
    truth = to_light(problem.held_out.images[0])[4:]
    times = np.linspace(0, len(truth) - 1, 6).astype(int)
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    for row, pictures in zip(figure.subplots(2, 6), (truth, found), strict=True):
        for axes, time in zip(row, times, strict=True):
            axes.imshow(pictures[time, ..., 0], cmap="magma", vmin=0, vmax=1)
            axes.set(title=f"step {time + 4}", xticks=[], yticks=[])
    return figure


def _problem(build: Callable[[], Recorded], summary: str, **how: Any) -> Problem:
    return Problem(build=build, summary=summary, score="iwae", higher_is_better=True, **how)


ENTRY = Entry(
    name="latent_models",
    make=latent_models.make,
    config=Config,
    problems={
        "linear-system": _problem(
            linear_system,
            "two numbers that follow each other linearly, seen through noise",
            num_steps=100,
            config=_SYSTEM,
            baselines=known_evidence,
            draw=draw_numbers,
            callables={"model": seen_directly},
            quick=True,
        ),
        "pixel-navigation-1": _problem(
            pixel_episodes,
            "a point that wanders in pictures of 16×16 pixels",
            num_steps=3000,
            config=_POINT,
            baselines=picture_evidence,
            draw=draw_pictures,
        ),
    },
    probe="linear-system",
    summary="Latent state-space models of recorded episodes, by any of seven transitions.",
    citation="Zhang et al. 2019; Watter et al. 2015; Karl et al. 2017; Hafner et al. 2019.",
)
