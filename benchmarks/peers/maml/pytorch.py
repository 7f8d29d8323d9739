"""The sides of `torch.func` 2.13, `torchopt` 0.7.3 and `higher` 0.2.1, all on PyTorch.

Each is used as its own documentation does MAML: `torch.func` maps all tasks at once, `torchopt` and
`higher` change a module task by task. Timed is one meta-gradient from the given weights, without
an outer step. The inner steps are loops in Python everywhere.

`torch.func` is measured as it comes, and once more with ``torch.compile`` around the whole
meta-gradient. That one needs a C++ compiler, and takes more than half a minute for its first call.
"""

# The peers are installed in an environment of their own.
# mypy: disable-error-code="import-not-found"
from collections.abc import Callable, Mapping
from typing import Any

import higher as higher_library
import numpy as np
import torch
import torchopt as torchopt_library
from torch import Tensor, nn
from torch.func import functional_call, grad, grad_and_value, vmap
from torch.nn.functional import mse_loss

PACKAGES = ("higher", "numpy", "torch", "torchopt")

Inputs = Mapping[str, np.ndarray]
Weights = Mapping[str, Tensor]
LossAndGradient = tuple[Tensor, Weights]
Prepared = tuple[Callable[[], LossAndGradient], Callable[[LossAndGradient], dict[str, np.ndarray]]]


def torch_func(inputs: Inputs) -> Prepared:
    """Gradients of gradients, with ``vmap`` over the tasks."""
    network, tasks, num_steps, rate = _problem(inputs)
    start = {name: weight.detach() for name, weight in network.named_parameters()}

    def loss(weights: Weights, x: Tensor, y: Tensor) -> Tensor:
        return mse_loss(functional_call(network, weights, (x,)), y)

    def adapted_loss(weights: Weights, x: Tensor, y: Tensor, *query: Tensor) -> Tensor:
        for _ in range(num_steps):
            slope = grad(loss)(weights, x, y)
            weights = {name: weights[name] - rate * slope[name] for name in weights}
        return loss(weights, *query)

    def mean_loss(weights: Weights) -> Tensor:
        return vmap(adapted_loss, in_dims=(None, 0, 0, 0, 0))(weights, *tasks).mean()

    def run() -> LossAndGradient:
        gradient, value = grad_and_value(mean_loss)(start)
        return value, gradient

    return run, _result


def torch_func_compiled(inputs: Inputs) -> Prepared:
    """The same, through ``torch.compile``."""
    run, result = torch_func(inputs)
    return torch.compile(run), result


def torchopt(inputs: Inputs) -> Prepared:
    """``MetaSGD``; the network's weights are recovered after each task."""
    network, tasks, num_steps, rate = _problem(inputs)
    optimizer = torchopt_library.MetaSGD(network, lr=rate)

    def run() -> LossAndGradient:
        network.zero_grad()
        start = torchopt_library.extract_state_dict(network, by="reference")
        fresh = torchopt_library.extract_state_dict(optimizer, by="reference")
        losses = []
        for x, y, query_x, query_y in zip(*tasks, strict=True):
            for _ in range(num_steps):
                optimizer.step(mse_loss(network(x), y))
            losses.append(mse_loss(network(query_x), query_y))
            torchopt_library.recover_state_dict(network, start)
            torchopt_library.recover_state_dict(optimizer, fresh)
        mean = torch.stack(losses).mean()
        mean.backward()
        return mean, _gradient(network)

    return run, _result


def higher(inputs: Inputs) -> Prepared:
    """``innerloop_ctx``; the gradients of the tasks are summed in the network."""
    network, tasks, num_steps, rate = _problem(inputs)
    optimizer = torch.optim.SGD(network.parameters(), lr=rate)

    def run() -> LossAndGradient:
        network.zero_grad()
        mean = torch.zeros(())
        for x, y, query_x, query_y in zip(*tasks, strict=True):
            context = higher_library.innerloop_ctx(network, optimizer, copy_initial_weights=False)
            with context as (adapted, inner):
                for _ in range(num_steps):
                    inner.step(mse_loss(adapted(x), y))
                loss = mse_loss(adapted(query_x), query_y) / len(tasks[0])
                loss.backward()
            mean += loss.detach()
        return mean, _gradient(network)

    return run, _result


def _problem(inputs: Inputs) -> tuple[nn.Module, list[Tensor], int, float]:
    """Make the network with the given weights, the tasks' points, and the inner loop's numbers."""
    layers: list[nn.Module] = []
    for layer in range(3):
        kernel, bias = (torch.tensor(inputs[f"{name}_{layer}"]) for name in ("kernel", "bias"))
        linear = nn.Linear(*kernel.shape)
        linear.load_state_dict({"weight": kernel.T, "bias": bias})
        layers += [linear, nn.ReLU()]
    points = [
        torch.tensor(inputs[f"{part}_{axis}"]) for part in ("support", "query") for axis in "xy"
    ]
    return nn.Sequential(*layers[:-1]), points, int(inputs["num_steps"]), float(inputs["rate"])


def _gradient(network: nn.Module) -> Weights:
    return {name: weight.grad for name, weight in network.named_parameters()}


def _result(output: LossAndGradient) -> dict[str, np.ndarray]:
    """Name the gradients as the inputs are named; linear layers have the places 0, 2 and 4."""
    loss, gradient = output
    arrays: dict[str, Any] = {"loss": loss.detach().numpy()}
    for layer in range(3):
        arrays[f"kernel_{layer}"] = gradient[f"{2 * layer}.weight"].numpy().T
        arrays[f"bias_{layer}"] = gradient[f"{2 * layer}.bias"].numpy()
    return arrays
