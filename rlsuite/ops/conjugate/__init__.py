r"""What is to be expected next of a sequence whose law is drawn anew, in closed form.

A law θ is drawn from a prior, then x_1, x_2, … from it. For conjugate priors all that a history
tells about θ stands in a few numbers, its *sufficient statistics*,

    s_0 = prior,    s_{t+1} = update(s_t, x_{t+1}),    p(x_{t+1} | x_1 … x_t) = predictive(s_t),

and no prediction has a smaller expected loss −log p than this one. An agent that predicts q_t loses
beyond it KL(p_t ‖ q_t) nats, which is computed here exactly as well.

===========================  ============================  =====================================
model                        statistics                    predictive law, and its head
===========================  ============================  =====================================
``BetaBernoulli``            α, β                          Bernoulli: the logit
``DirichletCategorical``     α_1 … α_k                     categorical: k logits
``GammaExponential``         shape a, rate b               Lomax: log a, log b
``Normal``                   mean, precision               normal: mean, log deviation
``NormalGamma``              mean, count, shape, rate      Student's t: location, log scale, log ν
``HiddenMarkov``             beliefs over hidden states    categorical: k logits
===========================  ============================  =====================================

A *head* is the vector of unconstrained numbers in which a family has its parameters: what a network
puts out. All functions take any leading axes.

References:
    DeGroot: Optimal statistical decisions. 1970, ch. 9.
    Mikulik et al.: Meta-trained agents implement Bayes-optimal agents. NeurIPS 2020,
    arXiv:2010.11223.

Example:
    >>> import jax.numpy as jnp
    >>> coin = BetaBernoulli(1.0, 1.0)
    >>> heads, statistics = walk(coin, jnp.array([1, 1, 0]))
    >>> statistics.tolist()
    [[1.0, 1.0], [2.0, 1.0], [3.0, 1.0], [3.0, 2.0]]
    >>> [round(p, 3) for p in (1 / (1 + jnp.exp(-heads[:, 0]))).tolist()]
    [0.5, 0.667, 0.75]
"""

from rlsuite.ops.conjugate.discrete import BetaBernoulli, DirichletCategorical, HiddenMarkov
from rlsuite.ops.conjugate.families import BERNOULLI, LOMAX, NORMAL, STUDENT, Family, categorical
from rlsuite.ops.conjugate.models import Model, walk
from rlsuite.ops.conjugate.numbers import GammaExponential, Normal, NormalGamma

__all__ = [
    "BERNOULLI",
    "LOMAX",
    "NORMAL",
    "STUDENT",
    "BetaBernoulli",
    "DirichletCategorical",
    "Family",
    "GammaExponential",
    "HiddenMarkov",
    "Model",
    "Normal",
    "NormalGamma",
    "categorical",
    "walk",
]
