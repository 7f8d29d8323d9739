"""Linear-Gaussian sequences as one Gaussian of all their states, with NumPy."""

import numpy as np

from rlsuite.ops import gaussian


def random_model(seed, count=5, size=3, far=0.0):
    """A model and potentials, some of which tell of fewer directions than there are."""
    rng = np.random.default_rng(seed)

    def covariances(number):
        roots = rng.normal(size=(number, size, size))
        return roots @ roots.swapaxes(1, 2) + 0.1 * np.eye(size)

    thin = rng.normal(size=(count, size, max(size - 1, 1)))
    precision = thin @ thin.swapaxes(1, 2)
    precision[-1] = 0.0
    shift = np.einsum("tij,tj->ti", precision, far + rng.normal(size=(count, size)))
    model = gaussian.LinearGaussian(
        gaussian.Moments(far + rng.normal(size=size), covariances(1)[0]),
        rng.normal(size=(count - 1, size, size)) / np.sqrt(size),
        far + rng.normal(size=(count - 1, size)),
        covariances(count - 1),
    )
    told = gaussian.Potential(precision, shift, rng.normal(size=count))
    return model, told


def joint(model, told):
    """(mean, covariance, log evidence) of all states at once, by dense linear algebra."""
    count, size = told.shift.shape
    total = count * size
    forward = np.eye(total)
    noise = np.zeros((total, total))
    pushed = np.zeros(total)
    noise[:size, :size], pushed[:size] = model.initial.covariance, model.initial.mean
    for time in range(count - 1):
        now, later = (slice(size * t, size * (t + 1)) for t in (time, time + 1))
        forward[later, now] = -model.transition[time]
        noise[later, later], pushed[later] = model.noise[time], model.offset[time]
    back = np.linalg.inv(forward)
    mean, covariance = back @ pushed, back @ noise @ back.T
    precision = np.zeros((total, total))
    for time in range(count):
        now = slice(size * time, size * (time + 1))
        precision[now, now] = told.precision[time]
    shift = told.shift.reshape(-1)
    posterior = np.linalg.inv(np.linalg.inv(covariance) + precision)
    prior = np.linalg.solve(covariance, mean)
    found = posterior @ (prior + shift)
    log_evidence = (
        np.sum(told.constant)
        - np.linalg.slogdet(np.eye(total) + covariance @ precision)[1] / 2
        - mean @ prior / 2
        + found @ (prior + shift) / 2
    )
    return found, posterior, log_evidence
