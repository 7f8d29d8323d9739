"""Networks as pairs of pure functions ``(init, apply)``."""

from rlsuite.nets.network import Network, from_linen, from_nnx, linear, mlp

__all__ = ["Network", "from_linen", "from_nnx", "linear", "mlp"]
