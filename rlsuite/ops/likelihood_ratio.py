r"""Policy-gradient surrogates whose derivatives of every order are those of an expected return.

Of J(θ) = E Σ_t r_t, where θ also decides what is drawn, ∇J = E Σ_t A_t ∇ℓ_t with
ℓ_t = log π_θ(a_t|s_t) and A_t the return from t on, less any function of s_t. An objective whose
gradient is differentiated once more needs a surrogate of which that holds again. With
□(x) = exp(x − ⊥x), ⊥ stopping the gradient, so that □ is 1 and ∇□(x) = □(x) ∇x, that is

    S = Σ_t A_t ( □(w_t) − □(λ w_{t−1}) ),   w_t = λ w_{t−1} + ℓ_t,

whose value is 0. Its first derivative is the policy gradient for every λ; its second is

    Σ_t A_t ( ∇²ℓ_t + ∇ℓ_t ∇ℓ_tᵀ + ∇ℓ_t (λ ∇w_{t−1})ᵀ + (λ ∇w_{t−1}) ∇ℓ_tᵀ ).

λ = 1 is DiCE with a baseline for every order: without bias, at a variance that grows with the
horizon. λ = 0 leaves the last two terms out, and with them most of the variance: it is the
low-variance curvature estimator, Σ_t A_t π_θ(a_t|s_t)/⊥π_θ(a_t|s_t).

References:
    Foerster, Farquhar, Al-Shedivat, Rocktäschel, Xing, Whiteson: DiCE: the infinitely
    differentiable Monte Carlo estimator. ICML 2018, arXiv:1802.05098.
    Farquhar, Whiteson, Foerster: Loaded DiCE: trading off bias and variance in any-order score
    function gradient estimators for reinforcement learning. NeurIPS 2019, arXiv:1909.10549.
    Rothfuss, Lee, Clavera, Asfour, Abbeel: ProMP: proximal meta-policy search. ICLR 2019,
    arXiv:1810.06784, sec. 5.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def surrogate(
    log_probs: Float[Array, "*batch time"],
    advantages: Float[Array, "*batch time"],
    *,
    memory: float | Float[Array, ""] = 1.0,
) -> Float[Array, "*batch"]:
    """S: zero, with the derivatives of an expected return.

    Args:
        log_probs: ℓ_t, of the actions that were taken, as a function of θ.
        advantages: A_t, taken as constants; 0 after an episode's end.
        memory: λ, from 0 to 1.

    Returns:
        S of each trajectory; its mean estimates.

    Example:
        >>> bernoulli = lambda logit: surrogate(jax.nn.log_sigmoid(logit)[None], jnp.ones(1))
        >>> float(bernoulli(0.0)), float(jax.grad(bernoulli)(0.0))
        (0.0, 0.5)

    Reference:
        Farquhar et al. 2019, eq. 12.
    """
    steps = jnp.arange(log_probs.shape[-1], dtype=log_probs.dtype)
    age = steps[:, None] - steps
    kept = jnp.where(age > 0, memory ** jnp.maximum(age, 1.0), 0.0)
    before = log_probs @ kept.T
    gain = _one(before + log_probs) - _one(before)
    return jnp.sum(jax.lax.stop_gradient(advantages) * gain, axis=-1)


def log_likelihood(
    log_probs: Float[Array, "*batch time"], advantages: Float[Array, "*batch time"]
) -> Float[Array, "*batch"]:
    """Σ_t A_t (ℓ_t − ⊥ℓ_t): right to the first order only.

    Its second derivative, Σ_t A_t ∇²ℓ_t, takes what was drawn for given. It is what Finn et al.
    2017 differentiate twice.

    Args:
        log_probs: As for ``surrogate``.
        advantages: As for ``surrogate``.

    Returns:
        Zero, with these derivatives.

    Reference:
        Rothfuss et al. 2019, sec. 4.
    """
    change = log_probs - jax.lax.stop_gradient(log_probs)
    return jnp.sum(jax.lax.stop_gradient(advantages) * change, axis=-1)


def _one(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """□: 1, with the derivatives of exp."""
    return jnp.exp(x - jax.lax.stop_gradient(x))
