r"""Chains of rods in the plane, and how equations of motion are followed in time.

Rod i of n hangs on the end of rod i − 1; φ_i is the angle of the rod itself (not of its joint)
from upright, clockwise. With masses m_i, lengths L_i, centres of mass c_i from the near end,
inertias I_i about them, the first moments b_i = m_i c_i + L_i Σ_{k>i} m_k, and motors whose rotors
of inertia J_i turn with the joints, Lagrange's equations of the energies

    T = ½ Σ_ij α_ij cos(φ_i − φ_j) φ̇_i φ̇_j + ½ Σ_i J_i (φ̇_i − φ̇_{i−1})²,    V = g Σ_i b_i cos φ_i,
    α_ii = I_i + m_i c_i² + L_i² Σ_{k>i} m_k,    α_ij = L_min(i,j) b_max(i,j),

are, τ_i being the torque in joint i,

    Σ_j [α_ij cos(φ_i − φ_j) + (Dᵀ J D)_ij] φ̈_j = g b_i sin φ_i
        − Σ_j α_ij sin(φ_i − φ_j) φ̇_j² + (Dᵀ τ)_i,    (D φ)_i = φ_i − φ_{i−1}.

Without gravity, angles may be counted from anywhere and either way.

Example:
    >>> rod = Chain.of_rods(masses=(3.0,), lengths=(1.0,), gravity=10.0)
    >>> level, still, motor = jnp.array([jnp.pi / 2]), jnp.zeros(1), jnp.zeros(1)
    >>> rod.accelerations(level, still, motor).tolist()
    [15.0]
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from rlsuite.ops import positive_definite


class Chain(NamedTuple):
    """A chain of n rods; in SI units.

    Attributes:
        masses: Of the rods.
        lengths: From joint to joint.
        centres: How far the centres of mass are from the near joints.
        inertias: About the centres of mass.
        rotors: The inertias of what turns with the joints.
        gravity: The acceleration of what falls.
    """

    masses: Float[Array, " n"]
    lengths: Float[Array, " n"]
    centres: Float[Array, " n"]
    inertias: Float[Array, " n"]
    rotors: Float[Array, " n"]
    gravity: Any

    @staticmethod
    def of_rods(masses: Any, lengths: Any, *, gravity: Any = 0.0, rotor: Any = 0.0) -> "Chain":
        """Thin, even rods.

        Args:
            masses: Of the rods.
            lengths: Of the rods.
            gravity: The acceleration of what falls.
            rotor: The inertia of what turns with each joint.

        Returns:
            The chain.
        """
        m, length = jnp.asarray(masses), jnp.asarray(lengths)
        rotors = jnp.broadcast_to(jnp.asarray(rotor), m.shape)
        return Chain(m, length, length / 2, m * length**2 / 12, rotors, gravity)

    def moments(self) -> tuple[Float[Array, " n"], Float[Array, "n n"]]:
        """(b, α)."""
        beyond = jnp.sum(self.masses) - jnp.cumsum(self.masses)
        b = self.masses * self.centres + self.lengths * beyond
        own = self.inertias + self.masses * self.centres**2 + self.lengths**2 * beyond
        upper = jnp.triu(self.lengths[:, None] * b, 1)
        return b, upper + upper.T + jnp.diag(own)

    def mass_matrix(self, angles: Float[Array, " n"]) -> Float[Array, "n n"]:
        """What Σ_j multiplies φ̈_j by.

        Args:
            angles: φ.

        Returns:
            The matrix.
        """
        joints = jnp.eye(angles.size) - jnp.eye(angles.size, k=-1)
        rotors = joints.T @ (self.rotors[:, None] * joints)
        return self.moments()[1] * jnp.cos(angles[:, None] - angles) + rotors

    def accelerations(
        self,
        angles: Float[Array, " n"],
        velocities: Float[Array, " n"],
        torques: Float[Array, " n"],
    ) -> Float[Array, " n"]:
        """Lagrange's equations, solved for φ̈.

        Args:
            angles: φ.
            velocities: φ̇.
            torques: τ.

        Returns:
            φ̈.
        """
        b, alpha = self.moments()
        turning = alpha * jnp.sin(angles[:, None] - angles)
        forces = self.gravity * b * jnp.sin(angles) - turning @ velocities**2
        pulled = torques - jnp.append(torques[1:], 0.0)
        return solve(self.mass_matrix(angles), forces + pulled)

    def energy(
        self, angles: Float[Array, " n"], velocities: Float[Array, " n"]
    ) -> Float[Array, ""]:
        """T + V.

        Args:
            angles: φ.
            velocities: φ̇.

        Returns:
            The energy.
        """
        height = self.moments()[0] @ jnp.cos(angles)
        return velocities @ self.mass_matrix(angles) @ velocities / 2 + self.gravity * height


def of_joints(of_rods: Float[Array, " n"]) -> Float[Array, " n"]:
    """D: what belongs to joints, of what belongs to rods."""
    return of_rods - jnp.concatenate([jnp.zeros_like(of_rods[:1]), of_rods[:-1]])


def solve(matrix: Float[Array, "n n"], right: Float[Array, " n"]) -> Float[Array, " n"]:
    """The x with A x = b, A being positive definite and small."""
    factor = positive_definite.cholesky(matrix)
    return positive_definite.solve(factor, right[:, None])[:, 0]


def limited(velocities: Float[Array, " n"], fastest: Any) -> Float[Array, " n"]:
    """The velocities of rods whose joints turn no faster than they can.

    Args:
        velocities: φ̇.
        fastest: The limit of each joint's velocity.

    Returns:
        φ̇.
    """
    return jnp.cumsum(jnp.clip(of_joints(velocities), -fastest, fastest))


def joints_of(angles: Float[Array, " n"], lengths: Any) -> Float[Array, "n_plus_1 2"]:
    """Where the ends of rods are, of a chain that begins at the origin.

    Args:
        angles: From upright, clockwise.
        lengths: Of the rods.

    Returns:
        The origin and the far end of each rod, (x, y).
    """
    steps = jnp.asarray(lengths)[:, None] * jnp.stack([jnp.sin(angles), jnp.cos(angles)], axis=-1)
    return jnp.concatenate([jnp.zeros((1, 2)), jnp.cumsum(steps, axis=0)])


def reaching(place: Float[Array, " 2"], lengths: Any) -> Float[Array, " 2"]:
    """The angles of two rods, the second of which ends at a place.

    Args:
        place: From the origin; what is too far or too near is reached for.
        lengths: Of the rods.

    Returns:
        The angles from upright, clockwise; the elbow is on the left, seen from the origin.
    """
    first, second = lengths
    square = place @ place
    cosine = (square + first**2 - second**2) / (2 * first * jnp.sqrt(square))
    shoulder = jnp.arctan2(place[0], place[1]) - jnp.arccos(jnp.clip(cosine, -1.0, 1.0))
    elbow = first * jnp.stack([jnp.sin(shoulder), jnp.cos(shoulder)])
    rest = place - elbow
    return jnp.stack([shoulder, jnp.arctan2(rest[0], rest[1])])


def runge_kutta(
    derivative: Callable[[Float[Array, " n"]], Float[Array, " n"]],
    x: Float[Array, " n"],
    seconds: Any,
) -> Float[Array, " n"]:
    """One step of the classical method of fourth order.

    Args:
        derivative: From a state to its change in a second.
        x: The state.
        seconds: How long the step is.

    Returns:
        The state after it.
    """
    first = derivative(x)
    second = derivative(x + seconds / 2 * first)
    third = derivative(x + seconds / 2 * second)
    fourth = derivative(x + seconds * third)
    return x + seconds / 6 * (first + 2 * second + 2 * third + fourth)
