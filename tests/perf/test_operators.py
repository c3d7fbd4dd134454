"""Time of one application at n = 12288 = 3 x 64 x 64 on one thread, beside SciPy doing the same in the same run."""

import time
from collections.abc import Callable

import numpy as np
import pytest
import scipy.fft
import scipy.ndimage
import torch

from csbench.core.seeding import stream
from csbench.operators import LinearOperator, PartialCirculant, SubsampledDCT, SubsampledHadamard
from csbench.operators.blur import GaussianBlur
from csbench.operators.fourier import CartesianFourier
from csbench.runner.problem import draw_operator

SHAPE, N = (3, 64, 64), 12288
GOAL = 2e-3  # seconds for an image
OPERATORS = [
    ("subsampled-dct", 1000),
    ("subsampled-hadamard", 1000),
    ("partial-circulant", 1000),
    ("cartesian-fourier", 3 * 64 * 21),
    ("radial-fourier", 3 * 63),
    ("centre-block", 3 * (4096 - 1024)),
    ("random-block", 3 * (4096 - 1024)),
    ("block-average", 768),
    ("gaussian-blur:sigma=2", N),
    ("motion-blur", N),
    ("radon", 3 * 91 * 20),
    ("single-pixel", 999),
]


def peer_of(A: LinearOperator) -> Callable[[np.ndarray], np.ndarray] | None:
    """The same by SciPy (NumPy for the Hadamard transform, which SciPy lacks), where it is one transform."""
    match A:
        case SubsampledDCT():
            signs, kept = A.signs.float().numpy(), A.kept.numpy()
            return lambda x: A.scale * scipy.fft.dct(signs * x, norm="ortho")[kept]
        case SubsampledHadamard():
            signs, kept = A.signs.float().numpy(), A.kept.numpy()
            return lambda x: A.scale * butterflies(np.pad(signs * x, (0, A.size - N)))[kept]
        case PartialCirculant():
            spectrum, kept = A.spectrum.to(torch.complex64).numpy(), A.kept.numpy()
            return lambda x: A.scale * scipy.fft.irfft(spectrum * scipy.fft.rfft(x), N)[kept]
        case CartesianFourier():
            weights, parts = A.weights.float().numpy(), A.parts.numpy()

            def pairs(x: np.ndarray) -> np.ndarray:
                return scipy.fft.fft2(x.reshape(SHAPE), norm="ortho").view(np.float32).reshape(3, -1)

            return lambda x: (weights * pairs(x)[:, parts]).ravel()
        case GaussianBlur():
            return lambda x: scipy.ndimage.gaussian_filter(x.reshape(SHAPE), 2, mode="wrap", axes=(1, 2)).ravel()
    return None


def butterflies(z: np.ndarray) -> np.ndarray:
    """The orthonormal Walsh-Hadamard transform as textbooks have it."""
    z = z[None] / np.float32(np.sqrt(len(z)))
    while z.shape[1] > 1:
        z = np.concatenate([z[:, ::2] + z[:, 1::2], z[:, ::2] - z[:, 1::2]])
    return z[:, 0]


def best(function: Callable[[], object], rounds: int = 30) -> float:
    """Seconds, the best of several."""
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)


@pytest.mark.parametrize(("spec", "m"), OPERATORS)
def test_an_application_takes_less_than_two_milliseconds(benchmark, spec, m):
    A = draw_operator(spec, m, SHAPE, stream("perf", spec))
    x, y = torch.rand(N, generator=stream("x")), torch.randn(m, generator=stream("y"))
    benchmark.pedantic(A, [x], rounds=30, warmup_rounds=3)
    back = best(lambda: A.adjoint(y))
    benchmark.extra_info["adjoint"] = back
    said = f"{spec}: {1e3 * benchmark.stats.stats.min:.3f} ms, adjoint {1e3 * back:.3f} ms"
    if (peer := peer_of(A)) is not None:
        np.testing.assert_allclose(A(x), peer(x.numpy()), atol=2e-4)
        ratio = benchmark.stats.stats.min / best(lambda: peer(x.numpy()))
        benchmark.extra_info["times_peer"] = ratio
        said += f", {ratio:.2f} times as long as SciPy"
    print(said)
    assert max(benchmark.stats.stats.min, back) < GOAL
