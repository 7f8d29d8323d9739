r"""Distributions as pytrees: what world models predict and policies choose from.

Each is a frozen dataclass of arrays, whose leading axes are batch axes. ``sample`` carries
gradients to the parameters: by reparameterisation where the sample is continuous, and *straight
through* where it is discrete, whose value is the draw and whose derivative is that of the
probabilities. A distribution of a vector sums ``log_prob`` and ``entropy`` over the last axis;
one of a number sums over nothing. Targets are not stopped: callers stop them. Fields have no type
of an array, since JAX rebuilds pytrees of axes, shapes and tangents too.

Discrete samples are one-hot. With *unimix*, a share u of the probability is spread evenly over the
classes, p = (1 − u) softmax(l) + u / n, so that no class is ever impossible and KL divergences stay
finite.

References:
    Hafner, Lillicrap, Ba, Norouzi: Dream to control: learning behaviors by latent imagination.
    ICLR 2020, arXiv:1912.01603.
    Hafner, Lillicrap, Norouzi, Ba: Mastering Atari with discrete world models. ICLR 2021,
    arXiv:2010.02193.
    Hafner, Pasukonis, Ba, Lillicrap: Mastering diverse domains through world models. 2023,
    arXiv:2301.04104.
    Bengio, Léonard, Courville: Estimating or propagating gradients through stochastic neurons for
    conditional computation. 2013, arXiv:1308.3432.
"""

from rlsuite.ops.distributions.categorical import (
    Bernoulli,
    MultiCategorical,
    OneHotCategorical,
    mask_logits,
    mix_uniform,
)
from rlsuite.ops.distributions.divergence import free_nats, kl
from rlsuite.ops.distributions.normal import (
    DiagonalNormal,
    TanhNormal,
    bounded_normal,
    tanh_normal,
)
from rlsuite.ops.distributions.regression import (
    Deterministic,
    SquaredError,
    SymexpTwoHot,
    SymlogSquaredError,
    symexp,
    symlog,
    twohot,
)

__all__ = [
    "Bernoulli",
    "Deterministic",
    "DiagonalNormal",
    "MultiCategorical",
    "OneHotCategorical",
    "SquaredError",
    "SymexpTwoHot",
    "SymlogSquaredError",
    "TanhNormal",
    "bounded_normal",
    "free_nats",
    "kl",
    "mask_logits",
    "mix_uniform",
    "symexp",
    "symlog",
    "tanh_normal",
    "twohot",
]
