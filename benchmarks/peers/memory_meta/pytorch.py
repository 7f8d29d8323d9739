"""PyTorch's side: its fused LSTM over whole sequences, and its Adam.

PyTorch's LSTM has two biases a gate, of which the second stays zero here: its gradient is not
applied, so that both sides train the same parameters.
"""

# The peer is installed in an environment of its own.
# mypy: disable-error-code="import-not-found"
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy, one_hot

PACKAGES = ("numpy", "torch")


def updates(
    inputs: Mapping[str, np.ndarray],
) -> tuple[Callable[[], Any], Callable[[Any], dict[str, np.ndarray]]]:
    """All updates, and the loss before each."""
    throws = torch.as_tensor(inputs["throws"])
    symbols, units = inputs["layer"].shape
    codes = one_hot(throws, symbols).float()
    seen = torch.cat([torch.zeros_like(codes[:, :1]), codes[:, :-1]], dim=1)
    layer, memory = nn.Linear(symbols, units), nn.LSTM(units, units)
    head = nn.Linear(units, symbols)
    pairs = {
        layer.weight: inputs["layer"].T,
        memory.weight_ih_l0: inputs["into"].T,
        memory.weight_hh_l0: inputs["within"].T,
        head.weight: inputs["head"].T,
    }
    biases = [layer.bias, memory.bias_ih_l0, head.bias]
    memory.bias_hh_l0.requires_grad_(False)

    def run() -> torch.Tensor:
        with torch.no_grad():
            for parameter, start in pairs.items():
                parameter.copy_(torch.as_tensor(start))
            for parameter in [*biases, memory.bias_hh_l0]:
                parameter.zero_()
        optimizer = torch.optim.Adam([*pairs, *biases], lr=float(inputs["rate"]))
        losses = []
        for x, target in zip(seen, throws, strict=True):
            optimizer.zero_grad()
            heads = head(memory(torch.relu(layer(x)))[0])
            loss = cross_entropy(heads.reshape(-1, symbols), target.reshape(-1))
            loss.backward()
            optimizer.step()
            losses.append(loss.detach())
        return torch.stack(losses)

    return run, lambda losses: {"losses": losses.numpy()}
