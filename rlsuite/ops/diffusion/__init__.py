r"""Denoising diffusion: schedules, predictions, samplers as tables of numbers, guidance.

Data x_0 turn into noise over steps k = 0 … T::

    x_k = √ᾱ_k x_0 + √(1 − ᾱ_k) ε,   ε ~ N(0, I),        1 = ᾱ_0 > ᾱ_1 > … > ᾱ_T > 0,

and a network that sees (x_k, k) predicts one of

    noise       ε
    data        x_0
    velocity    v = √ᾱ_k ε − √(1 − ᾱ_k) x_0,

from each of which the other two follow. A sampler walks from k_0 = T down to k_S = 0. All samplers
here are of one form: with x̂_i the data predicted at step i,

    x_{i+1} = a_i x_i + b_i x̂_i + c_i x̂_{i−1} + s_i z_i,   z_i ~ N(0, I),

so a sampler *is* the table of k, a, b, c and s, and whoever walks it needs to know nothing else.
``walk`` does so with any network; ``rlsuite.ops.gaussian_diffusion`` computes exactly which law
comes out when the data are Gaussian.

Guidance and composition act on what is predicted, before x̂: with conditions y_1 … y_n,

    ε̂ = ε(x, ∅) + Σ_i w_i (ε(x, y_i) − ε(x, ∅)),

w_i = ω > 0 for a condition that is to hold, w_i < 0 for one that is not to. Inpainting writes known
entries over x before every prediction and at the end.

References:
    Ho, Jain, Abbeel: Denoising diffusion probabilistic models. 2020, arXiv:2006.11239 (eqs. 4, 7).
    Nichol, Dhariwal: Improved denoising diffusion probabilistic models. 2021, arXiv:2102.09672
    (eq. 17).
    Song, Meng, Ermon: Denoising diffusion implicit models. 2021, arXiv:2010.02502 (eqs. 12, 16).
    Salimans, Ho: Progressive distillation for fast sampling of diffusion models. 2022,
    arXiv:2202.00512 (velocity).
    Lu et al.: DPM-Solver++: fast solver for guided sampling of diffusion probabilistic models.
    2022, arXiv:2211.01095 (algorithm 2).
    Ho, Salimans: Classifier-free diffusion guidance. 2022, arXiv:2207.12598.
    Liu, Li, Du, Torralba, Tenenbaum: Compositional visual generation with composable diffusion
    models. 2022, arXiv:2206.01714.
    Ajay et al.: Is conditional generative modeling all you need for decision-making? 2023,
    arXiv:2211.15657.
"""

from rlsuite.ops.diffusion.samplers import (
    Sampler,
    ancestral,
    cooled,
    ddim,
    dpm_solver,
    shortened,
)
from rlsuite.ops.diffusion.schedules import (
    Noised,
    Prediction,
    Schedule,
    cosine,
    linear,
    noise_to,
    noised,
    target,
    tilted,
    to_data,
)
from rlsuite.ops.diffusion.walking import Known, first_known, guided, walk

__all__ = [
    "Known",
    "Noised",
    "Prediction",
    "Sampler",
    "Schedule",
    "ancestral",
    "cooled",
    "cosine",
    "ddim",
    "dpm_solver",
    "first_known",
    "guided",
    "linear",
    "noise_to",
    "noised",
    "shortened",
    "target",
    "tilted",
    "to_data",
    "walk",
]
