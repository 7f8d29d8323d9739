"""What SOLAR sees: states beside the true ones, reconstructions, and a controlled episode."""

from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from rlsuite.algorithms import solar
from rlsuite.data.pictures import Act, collect, to_light, wander
from rlsuite.envs.control import Control
from rlsuite.envs.pictures import gif
from rlsuite.io.reports import Picture, picture
from rlsuite.ops import mniw
from rlsuite.studies.summaries import BLUE, ORANGE, plain

_EPISODES, _MOMENTS = 20, 6


class Seen(NamedTuple):
    """Episodes of random actions as the model sees them, and one of its policy.

    Attributes:
        means: Of states, as they are inferred from whole episodes.
        truth: True states.
        shown: Pictures of the first episode.
        decoded: What the model takes them for.
        played: Pictures of the policy's episode.
        path: Its true states.
    """

    means: Float[np.ndarray, "episode time n"]
    truth: Float[np.ndarray, "episode time k"]
    shown: Float[np.ndarray, "time h w c"]
    decoded: Float[np.ndarray, "time h w c"]
    played: Float[np.ndarray, "time h w c"]
    path: Float[np.ndarray, "time k"]


def look(problem: Control, config: solar.Config, state: solar.State) -> Seen:
    """Walk, and infer what was seen.

    Args:
        problem: The environment.
        config: SOLAR's.
        state: Of one seed.

    Returns:
        What the model makes of it.
    """
    networks = solar.default_networks(problem, config)
    act: Any = solar.make(problem, config).act

    def policy(_: PRNGKeyArray, observation: Any, carry: Any) -> tuple[Array, Any]:
        return act(None, state, observation, carry)

    def walk(key: PRNGKeyArray, act: Act, carry: Any, count: int) -> Any:
        def look(inner: Any) -> Array:
            return problem.environment.true_state(inner)

        # The first state is not among those that are looked at after a step.
        return collect(problem, act, carry, key, count, config.length, look)

    @jax.jit
    def everything() -> tuple[Any, ...]:
        wandered = wander(problem.actions.size, config.exploration)
        shown, truth = walk(jax.random.key(1), *wandered, _EPISODES)
        first = solar.first_belief(state.controller)
        played, path = walk(jax.random.key(2), policy, first, 1)
        known = mniw.expected(mniw.to_moments(state.learner.known))

        def infer(episode: Any) -> Array:
            found = solar.states_of(networks, state.learner.params, known, episode, config)
            return found.states.mean

        means = jax.vmap(infer)(shown)
        logits = networks.decoder.apply(state.learner.params.decoder, means[0])
        decoded = jax.nn.sigmoid(logits) if networks.likelihood == "bernoulli" else logits
        light = to_light(shown.images[0])
        return means[:, 1:], truth, light, decoded, to_light(played.images[0]), path[0]

    return Seen(*(np.asarray(x) for x in everything()))


def explained(seen: Seen) -> tuple[Float[np.ndarray, "episode time k"], float]:
    """The best affine map from inferred to true states.

    Args:
        seen: What was seen.

    Returns:
        (where it sends them, the share of the true states' variance that it explains).
    """
    flat = seen.means.reshape(-1, seen.means.shape[-1])
    inputs = np.concatenate([flat, np.ones((len(flat), 1))], axis=1)
    targets = seen.truth.reshape(len(flat), -1)
    mapped = inputs @ np.linalg.lstsq(inputs, targets, rcond=None)[0]
    share = 1 - np.sum((mapped - targets) ** 2) / np.sum((targets - targets.mean(axis=0)) ** 2)
    return mapped.reshape(seen.truth.shape), float(share)


def of_run(seen: Seen) -> list[Picture]:
    """Draw all.

    Args:
        seen: What was seen.

    Returns:
        Trajectories, reconstructions, and the policy's episode as an animation.
    """
    from matplotlib.figure import Figure

    mapped, share = explained(seen)
    figure = Figure(figsize=(4, 4), layout="constrained")
    axes = figure.subplots()
    for episode in range(min(8, len(mapped))):
        axes.plot(*seen.truth[episode, :, :2].T, color="0.7", linewidth=3)
        axes.plot(*mapped[episode, :, :2].T, color=BLUE, linewidth=1)
    axes.plot(*seen.path[:, :2].T, color=ORANGE, linewidth=1)
    axes.set(aspect="equal", title=f"{100 * share:.1f} % of the variance")
    plain(axes)
    trajectories = picture(
        "trajectories",
        figure,
        "Inferred states (blue), sent by one affine map onto the true positions (grey), of random "
        "actions; the path of the policy's mean actions in orange.",
    )

    figure = Figure(figsize=(9, 3.2), layout="constrained")
    times = np.linspace(0, len(seen.shown) - 1, _MOMENTS).astype(int)
    panels = figure.subplots(2, _MOMENTS)
    for row, images in zip(panels, (seen.shown, seen.decoded), strict=True):
        for panel, time in zip(row, times, strict=True):
            panel.imshow(np.mean(images[time], axis=-1), cmap="magma", vmin=0, vmax=1)
            panel.set(xticks=[], yticks=[], title=f"step {time}")
    reconstructions = picture(
        "reconstructions", figure, "An episode of random actions, and what the model takes it for."
    )
    return [trajectories, reconstructions, _film(seen)]


def _film(seen: Seen) -> Picture:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(2.4, 2.4), dpi=60)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    image = axes.imshow(np.mean(seen.played[0], axis=-1), cmap="magma", vmin=0, vmax=1)

    def show(frame: int) -> None:
        image.set_data(np.mean(seen.played[frame], axis=-1))

    content = gif(figure, show, len(seen.played), milliseconds=120)
    return Picture("controlled", content, "An episode of the policy's mean actions.")
