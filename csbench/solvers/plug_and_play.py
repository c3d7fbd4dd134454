"""Recovery with a denoiser in place of a prior, for a batch of right-hand sides and one operator; all in float64."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from csbench.operators import LinearOperator
from csbench.solvers.denoisers import FAINTEST, Denoiser

PROBE = 1e-3  # of the largest entry of an image: the step of a numerical derivative, as Metzler et al. take it


@dataclass(frozen=True)
class PlugAndPlaySolution:
    """What a batch of images came to; nothing is minimised, and nothing certifies it.

    Attributes:
        x_hat: float64, shape [batch, n].
        noise_estimate: the standard deviation of what was denoised last, shape [batch].
        iterations: shape [batch].
    """

    x_hat: Float64[Tensor, "batch n"]
    noise_estimate: Float64[Tensor, " batch"]
    iterations: Int64[Tensor, " batch"]

    def diagnostics(self) -> dict[str, Float64[Tensor, " batch"]]:
        """As a method reports them."""
        return {"noise_estimate": self.noise_estimate}


@dataclass(frozen=True)
class Iterate:
    """One iteration of message passing.

    Attributes:
        noisy: what the denoiser was given, shape [batch, n].
        sigma: the standard deviation of its noise, as it was estimated, shape [batch].
        x: what the denoiser returned, shape [batch, n].
        next_sigma: `sigma` of the next iteration, shape [batch].
    """

    noisy: Float[Tensor, "batch n"]
    sigma: Float[Tensor, " batch"]
    x: Float[Tensor, "batch n"]
    next_sigma: Float[Tensor, " batch"]


def message_passing(
    A: LinearOperator, y: Float[Tensor, "batch m"], denoise: Denoiser, *, rng: torch.Generator
) -> Iterator[Iterate]:
    """Denoising-based approximate message passing, D-AMP (Metzler, Maleki, Baraniuk 2016, algorithm 1), without end.

        sigma = ||z|| / sqrt(m),   x <- D_sigma(x + A^T z),   z <- y - A x + z div D_sigma / m

    Where entries of A are independent with variance 1/m, the last term, Onsager's, makes the noise of x + A^T z nearly
    Gaussian, and sigma its standard deviation. The divergence is estimated from one random direction (Ramani, Blu,
    Unser 2008).

    Args:
        y: shape [batch, m].
        rng: on the CPU; the directions are drawn from it.
    """
    A, y = A.to(torch.float64), y.double()
    m, n = A.shape
    x, z = y.new_zeros(len(y), n), y
    sigma = z.norm(dim=1) / m**0.5
    while True:
        noisy = x + A.adjoint(z)
        x = denoise(noisy, sigma)
        probe = torch.randn(noisy.shape, generator=rng, dtype=y.dtype).to(y.device)
        step = (PROBE * noisy.abs().amax(1, keepdim=True)).clamp_min(torch.finfo(y.dtype).eps)
        divergence = (probe * (denoise(noisy + step * probe, sigma) - x)).sum(1, keepdim=True) / step
        z = y - A(x) + z * divergence / m
        previous, sigma = sigma, z.norm(dim=1) / m**0.5
        yield Iterate(noisy, previous, x, sigma)


def least_noisy(iterates: Iterable[Iterate]) -> tuple[Float[Tensor, "batch n"], Float[Tensor, " batch"]]:
    """For each image the x after which the estimated noise was least, and that noise, for iterates may wander off."""
    first, *others = iterates
    x, sigma = first.x, first.next_sigma
    for iterate in others:
        better = iterate.next_sigma < sigma
        x = torch.where(better[:, None], iterate.x, x)
        sigma = torch.where(better, iterate.next_sigma, sigma)
    return x, sigma


def damp(
    A: LinearOperator, y: Float[Tensor, "batch m"], denoise: Denoiser, *, rng: torch.Generator, iterations: int
) -> PlugAndPlaySolution:
    """The best of the iterates of `message_passing`, which has the arguments; its noise is that estimated after it."""
    iterates = message_passing(A, y, denoise, rng=rng)
    x_hat, sigma = least_noisy(islice(iterates, iterations))
    return PlugAndPlaySolution(x_hat, sigma, torch.full((len(y),), iterations, device=y.device))


def admm(
    A: LinearOperator, y: Float[Tensor, "batch m"], denoise: Denoiser, sigmas: list[float], *, noise_std: float
) -> PlugAndPlaySolution:
    """Plug-and-play ADMM (Venkatakrishnan, Bouman, Wohlberg 2013).

        v <- argmin ||A v - y||^2 / noise_std^2 + ||v - (x - u)||^2 / sigma^2,   x <- D_sigma(v + u),   u <- u + v - x

    The noise level may fall from one iteration to the next (Zhang et al. 2022). What is done before the first takes
    about m^2 n + 10 m^3 operations and an m x m matrix, whatever A is.

    Args:
        y: shape [batch, m].
        sigmas: of the noise that the denoiser is told, for each iteration, positive.
        noise_std: of each entry of the noise in y.
    """
    A, y = A.to(torch.float64), y.double()
    m, n = A.shape
    eigenvalues, U = torch.linalg.eigh(A(A.adjoint(torch.eye(m, dtype=y.dtype, device=y.device))))
    x, u = y.new_zeros(len(y), n), y.new_zeros(len(y), n)
    for sigma in sigmas:
        v = x - u
        weights = eigenvalues.clamp_min(0) + (max(noise_std, FAINTEST) / sigma) ** 2
        noisy = v + A.adjoint((y - A(v)) @ U / weights @ U.T) + u
        x = denoise(noisy, y.new_full((len(y),), sigma))
        u = noisy - x
    last, count = y.new_full((len(y),), sigmas[-1]), torch.full((len(y),), len(sigmas), device=y.device)
    return PlugAndPlaySolution(x, last, count)
