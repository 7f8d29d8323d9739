"""The side of PyTorch 2.13: the same network over time, written for this comparison.

Laid out as Diffuser's code does it: channels before time, a module for each layer, ``Adam``, plans
sampled by a loop in Python under ``inference_mode``. The layers are made from the weights that both
sides are given, whose names are those of our network's.
"""

# The peer is installed in an environment of its own.
# mypy: disable-error-code="import-not-found,misc"
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import mish, mse_loss

PACKAGES = ("numpy", "torch")

Inputs = Mapping[str, np.ndarray]
Prepared = tuple[Callable[[], Any], Callable[[Any], dict[str, np.ndarray]]]

_LEVELS, _GROUPS, _RATE, _BOUND = 3, 8, 2e-4, 3.0


class Weights:
    """Given weights, under a name that they begin with.

    Args:
        arrays: All of them, by their paths.
        prefix: What the paths begin with.
    """

    def __init__(self, arrays: Inputs, prefix: str) -> None:
        self._arrays, self._prefix = arrays, prefix

    def __getitem__(self, name: str) -> "Weights":
        """Those below a name."""
        return Weights(self._arrays, f"{self._prefix}/{name}")

    def __contains__(self, name: str) -> bool:
        """Whether there are any below a name."""
        return any(path.startswith(f"{self._prefix}/{name}/") for path in self._arrays)

    def tensor(self, name: str) -> Tensor:
        """One of them."""
        return torch.tensor(self._arrays[f"{self._prefix}/{name}"])

    def fill(self, layer: nn.Module, weight: Tensor) -> nn.Module:
        """Put them into a layer."""
        layer.load_state_dict({"weight": weight, "bias": self.tensor("bias")})
        return layer

    def dense(self) -> nn.Module:
        """A linear layer."""
        kernel = self.tensor("kernel")
        return self.fill(nn.Linear(*kernel.shape), kernel.T)

    def convolution(self, stride: int = 1) -> nn.Module:
        """A convolution over time, with zeros around."""
        kernel = self.tensor("kernel")
        width, before, after = kernel.shape
        layer = nn.Conv1d(before, after, width, stride, padding=width // 2)
        return self.fill(layer, kernel.permute(2, 1, 0))

    def transposed(self) -> nn.Module:
        """A convolution that doubles the length."""
        kernel = self.tensor("kernel")
        width, before, after = kernel.shape
        layer = nn.ConvTranspose1d(before, after, width, stride=2, padding=1)
        return self.fill(layer, kernel.flip(0).permute(1, 2, 0))

    def normalised(self) -> nn.Module:
        """A convolution, group norm and Mish."""
        scale = self.tensor("scale")
        norm = self.fill(nn.GroupNorm(_GROUPS, len(scale)), scale)
        return nn.Sequential(self["Conv_0"].convolution(), norm, nn.Mish())

    def perceptron(self) -> nn.Module:
        """Linear layers with Mish between them."""
        layers: list[nn.Module] = []
        while (name := f"Dense_{len(layers) // 2}") in self:
            layers += [self[name].dense(), nn.Mish()]
        return nn.Sequential(*layers[:-1])


class Block(nn.Module):
    """Two convolutions, the embedding added between them, and a way around both."""

    def __init__(self, weights: Weights) -> None:
        super().__init__()
        self.first = weights["_Convolution_0"].normalised()
        self.second = weights["_Convolution_1"].normalised()
        self.embedding = weights["Dense_0"].dense()
        self.around = weights["Conv_0"].convolution() if "Conv_0" in weights else nn.Identity()

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """``[batch, channels, time]``; the embedding has been through Mish."""
        y = self.second(self.first(x) + self.embedding(embedding)[..., None])
        return y + self.around(x)


class TemporalUNet(nn.Module):
    """The network."""

    def __init__(self, weights: Weights) -> None:
        super().__init__()
        blocks = [Block(weights[f"_Block_{i}"]) for i in range(4 * _LEVELS)]
        self.down = nn.ModuleList(blocks[: 2 * _LEVELS])
        self.middle = nn.ModuleList(blocks[2 * _LEVELS : 2 * _LEVELS + 2])
        self.up = nn.ModuleList(blocks[2 * _LEVELS + 2 :])
        ways = range(_LEVELS - 1)
        self.shorten = nn.ModuleList(weights[f"Conv_{i}"].convolution(2) for i in ways)
        self.lengthen = nn.ModuleList(weights[f"_Doubling_{i}"].transposed() for i in ways)
        self.last = weights["_Convolution_0"].normalised()
        self.out = weights[f"Conv_{_LEVELS - 1}"].convolution()
        self.step = weights["step"].perceptron()
        self.condition = weights["condition"].perceptron()
        half = self.step[0].in_features // 2
        powers = torch.arange(half) / (half - 1)
        self.register_buffer("frequencies", 10_000.0**-powers)

    def forward(self, x: Tensor, step: Tensor, condition: Tensor, present: Tensor) -> Tensor:
        """Predict.

        Args:
            x: ``[batch, time, size]``.
            step: ``[batch]``.
            condition: ``[batch, condition]``.
            present: ``[batch]``: whether the condition is to be seen.

        Returns:
            ``[batch, time, size]``.
        """
        angles = step[:, None] * self.frequencies
        seen = self.condition(condition) * present[:, None]
        embedding = torch.cat([self.step(torch.cat([angles.sin(), angles.cos()], -1)), seen], -1)
        embedding = mish(embedding)
        x, passed = x.transpose(1, 2), []
        for level in range(_LEVELS):
            x = self.down[2 * level](x, embedding)
            x = self.down[2 * level + 1](x, embedding)
            passed.append(x)
            if level + 1 < _LEVELS:
                x = self.shorten[level](x)
        for block in self.middle:
            x = block(x, embedding)
        for level in range(_LEVELS - 1):
            x = self.up[2 * level](torch.cat([x, passed.pop()], 1), embedding)
            x = self.lengthen[level](self.up[2 * level + 1](x, embedding))
        return self.out(self.last(x)).transpose(1, 2)


def training(inputs: Inputs) -> Prepared:
    """A training step: squared error of the predicted noise, backwards, Adam."""
    network, batch = _network(inputs), _batch(inputs)
    noise = torch.tensor(inputs["noise"][0])
    optimizer = torch.optim.Adam(network.parameters(), lr=_RATE)

    def run() -> Tensor:
        optimizer.zero_grad()
        loss = mse_loss(network(*batch), noise)
        loss.backward()
        optimizer.step()
        return loss

    first = run().detach().numpy()
    result = {
        "parameters": _size(network),
        "loss": first,
        "gradient": torch.stack([p.grad.norm() for p in network.parameters()]).norm().numpy(),
    }
    return run, lambda _: result


def denoising(inputs: Inputs) -> Prepared:
    """Some steps of the reverse chain."""
    network, (start, steps, condition, present) = _network(inputs), _batch(inputs)
    table, noise = torch.tensor(inputs["table"]), torch.tensor(inputs["noise"])

    @torch.inference_mode()
    def run() -> Tensor:
        x = start
        for (k, scale, spread, carry, data, deviation), z in zip(table, noise, strict=True):
            said = network(x, k.expand(len(steps)), condition, present)
            x = carry * x + data * ((x - spread * said) / scale) + deviation * z
        return x

    def result(x: Tensor) -> dict[str, np.ndarray]:
        return {"parameters": _size(network), "x": x.numpy()}

    return run, result


def plan(inputs: Inputs) -> Prepared:
    """All steps of the reverse chain with guidance, from the state at hand to the action."""
    network = _network(inputs)
    inverse = _inverse(inputs)
    table = torch.tensor(inputs["table"])
    state = torch.tensor(inputs["state"])
    length, weight = int(inputs["length"]), float(inputs["weight"])
    condition = torch.ones(2, 1)
    present = torch.tensor([0.0, 1.0])

    @torch.inference_mode()
    def run() -> tuple[Tensor, np.ndarray]:
        x = torch.randn(1, length, len(state))
        for k, scale, spread, carry, data, deviation in table:
            x[:, 0] = state
            absent, seen = network(x.expand(2, -1, -1), k.expand(2), condition, present).split(1)
            predicted = (x - spread * (absent + weight * (seen - absent))) / scale
            predicted = predicted.clamp(-_BOUND, _BOUND)
            x = carry * x + data * predicted + deviation * torch.randn_like(x)
        x[:, 0] = state
        return x, inverse(x[0, :2].flatten()).numpy()

    def result(output: tuple[Tensor, np.ndarray]) -> dict[str, np.ndarray]:
        states, action = output
        return {"first": states[0, 0].numpy(), "action": np.asarray(action.shape)}

    return run, result


def _network(inputs: Inputs) -> TemporalUNet:
    return TemporalUNet(Weights(inputs, "network"))


def _inverse(inputs: Inputs) -> nn.Module:
    layers: list[nn.Module] = []
    for i in range(3):
        layers += [Weights(inputs, f"inverse/Dense_{i}").dense(), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def _batch(inputs: Inputs) -> tuple[Tensor, ...]:
    x, step = torch.tensor(inputs["x"]), torch.tensor(inputs["step"])
    return x, step, torch.tensor(inputs["condition"]), torch.ones(len(x))


def _size(network: nn.Module) -> np.ndarray:
    return np.asarray(sum(parameter.numel() for parameter in network.parameters()))
