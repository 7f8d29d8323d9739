"""What could as well be otherwise: names of things that are alike, and directions of a plane.

Where a state has the numbers of several things of one kind, and labels name some of these, any
renaming of the things turns a segment and its labels into others that are as likely; and so does a
turn or a reflection that the world does not notice. Training shows the network random ones of all.
And where a label is told, the network is only ever shown the segment renamed so that the label is
the first one: ``symmetric`` has it learn one constraint, not each.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from rlsuite.algorithms.decision_diffuser.networks import Denoiser, Params


class Symmetry(NamedTuple):
    """All changes, as permutations and signs; the first one changes nothing.

    Attributes:
        states: Which number of a state takes the place of each.
        signs: By what each number is multiplied then.
        labels: Which entry of the condition takes the place of each.
        first: By which change, a mere renaming, each entry of a condition becomes the first.
    """

    states: Int[Array | np.ndarray, "change n"]
    signs: Int[Array | np.ndarray, "change n"]
    labels: Int[Array | np.ndarray, "change condition"]
    first: Int[Array | np.ndarray, " condition"]


def changed(
    symmetry: Symmetry,
    key: PRNGKeyArray,
    states: Float[Array, "horizon n"],
    condition: Float[Array, " condition"],
) -> tuple[Float[Array, "horizon n"], Float[Array, " condition"]]:
    """A segment under a random change.

    Args:
        symmetry: All changes.
        key: Key.
        states: A segment, in the data's units.
        condition: What is told of it.

    Returns:
        Another segment, and what is told of that.
    """
    number = jax.random.randint(key, (), 0, len(symmetry.states))
    order, signs, labels = (jnp.asarray(table)[number] for table in symmetry[:3])
    return states[:, order] * signs, condition[labels]


def symmetric(network: Denoiser, symmetry: Symmetry) -> Denoiser:
    """A network that says the same of a segment whatever its things are named.

    Of several labels in one condition, the largest (of equal ones the first) decides.

    Args:
        network: Any network.
        symmetry: All changes.

    Returns:
        A network with the same parameters.
    """

    def init(
        key: PRNGKeyArray,
        inputs: Float[Array, "horizon n"],
        step: Int[Array, ""],
        condition: Float[Array, " condition"] | None,
        present: Bool[Array, ""] | bool,
    ) -> Params:
        return network.init(key, inputs, step, condition, present)

    def apply(
        params: Params,
        inputs: Float[Array, "horizon n"],
        step: Int[Array, ""],
        condition: Float[Array, " condition"] | None,
        present: Bool[Array, ""] | bool,
    ) -> Float[Array, "horizon n"]:
        if condition is None:  # Nothing is told, by which a thing could be the first.
            return network.apply(params, inputs, step, None, present)
        first = jnp.asarray(symmetry.first)[jnp.argmax(condition)]
        number = jnp.where(present, first, 0)
        order, labels = (jnp.asarray(x)[number] for x in (symmetry.states, symmetry.labels))
        said = network.apply(params, inputs[:, order], step, condition[labels], present)
        return said[:, jnp.argsort(order)]

    return Denoiser(init, apply)
