"""Networks as pairs of pure functions ``(init, apply)``."""

from rlsuite.nets.causal_transformer import causal_transformer
from rlsuite.nets.costs import CostParams
from rlsuite.nets.linear_recurrence import linear_recurrence
from rlsuite.nets.network import Network, from_linen, from_nnx, linear, mlp
from rlsuite.nets.recurrent import Cell, gru, lstm, reset, rnn, unroll

__all__ = [
    "Cell",
    "CostParams",
    "Network",
    "causal_transformer",
    "from_linen",
    "from_nnx",
    "gru",
    "linear",
    "linear_recurrence",
    "lstm",
    "mlp",
    "reset",
    "rnn",
    "unroll",
]
