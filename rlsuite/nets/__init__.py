"""Networks as pairs of pure functions ``(init, apply)``."""

from rlsuite.nets.network import Network, from_linen, from_nnx, linear, mlp
from rlsuite.nets.recurrent import Cell, gru, lstm, reset, unroll

__all__ = [
    "Cell",
    "Network",
    "from_linen",
    "from_nnx",
    "gru",
    "linear",
    "lstm",
    "mlp",
    "reset",
    "unroll",
]
