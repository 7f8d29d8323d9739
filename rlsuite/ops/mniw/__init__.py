r"""Matrix-normal inverse-Wishart laws: what is known of a linear map F and its noise's Σ.

    y = F x + e,    e ~ N(0, Σ),    with x of m numbers and y of n,
    Σ ~ IW(Ψ, ν),    F | Σ ~ MN(M, Σ, V):    vec F | Σ ~ N(vec M, V ⊗ Σ).

**V is the covariance of F's columns**; its inverse is a natural parameter. Σ has the mean
Ψ / (ν − n − 1). The laws are an exponential family, in which pairs (x, y) are conjugate:

    t(F, Σ) = (−½ Σ⁻¹,  Σ⁻¹ F,  −½ Fᵀ Σ⁻¹ F,  −½ log |Σ|),
    log p(F, Σ) = ⟨η, t⟩ − A(η),    η = (Ψ + M V⁻¹ Mᵀ,  M V⁻¹,  V⁻¹,  ν + n + m + 1),
    log p(y | x, F, Σ) = ⟨(y yᵀ,  y xᵀ,  x xᵀ,  1), t⟩ − ½ n log 2π,
    A = ½ (n m log 2π + n log |V| − ν log |Ψ| + ν n log 2) + log Γ_n(ν / 2),    ∇A = E t.

Natural parameters and the statistics of data are therefore one type, and a posterior is a sum.

All arrays of a call, those of the law included, have the same leading batch axes, any number of
them; ``vmap`` over what differs. Every function raises ValueError for shapes that do not fit, and
for ν ≤ n − 1 where it is concrete. What is not positive definite gives results that are no numbers.

References:
    Dawid: Some matrix-variate distribution theory. Biometrika 68, 1981.
    Hoffman, Blei, Wang, Paisley: Stochastic variational inference. JMLR 14, 2013.
    Johnson, Duvenaud, Wiltschko, Datta, Adams: Composing graphical models with neural networks for
    structured representations and fast inference. NeurIPS 2016, arXiv:1603.06277.
    Zhang et al.: SOLAR: deep structured representations for model-based reinforcement learning.
    ICML 2019, arXiv:1808.09105.

Example:
    >>> import jax.numpy as jnp
    >>> belief = to_natural(prior(state_size=1, input_size=1))
    >>> x, y = jnp.array([[0.0, 1.0]] * 3), jnp.array([[2.0]] * 3)
    >>> to_moments(posterior(belief, statistics(x, y))).mean.tolist()
    [[1.0, 1.5]]
"""

from rlsuite.ops.mniw.conjugacy import (
    evidence,
    expected,
    expected_log_likelihood,
    expected_statistics,
    given_residuals,
    log_normalizer,
    natural_step,
    posterior,
    prior,
    statistics,
    to_moments,
    to_natural,
)
from rlsuite.ops.mniw.densities import (
    entropy,
    kl,
    log_density,
    mean,
    mode,
    predictive,
    predictive_log_density,
    sample,
)
from rlsuite.ops.mniw.laws import MNIW, Expected, Natural, Regression, StudentT

__all__ = [
    "MNIW",
    "Expected",
    "Natural",
    "Regression",
    "StudentT",
    "entropy",
    "evidence",
    "expected",
    "expected_log_likelihood",
    "expected_statistics",
    "given_residuals",
    "kl",
    "log_density",
    "log_normalizer",
    "mean",
    "mode",
    "natural_step",
    "posterior",
    "predictive",
    "predictive_log_density",
    "prior",
    "sample",
    "statistics",
    "to_moments",
    "to_natural",
]
