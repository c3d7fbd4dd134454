"""The Lasso beside its peers, extras `peers,perf`: `pytest tests/perf/test_lasso.py -n 0 --benchmark-only -s`.

Same images, design and penalty, one process, one thread; CPU time per image. A peer takes the loosest tolerance with
which all its images reach the wanted relative duality gap. Ours is exact on every line.
"""

import time
from collections.abc import Callable

import numpy as np
import pytest
import torch
from sklearn.linear_model import Lasso, LassoLars

from csbench import Problem
from csbench.core.transforms import DCT2
from csbench.solvers.lasso import admm
from csbench.solvers.lasso.path import duality_gap, solve_lasso

celer, skglm, spams = (pytest.importorskip(name) for name in ("celer", "skglm", "spams"))
IMAGES, FEW = 64, 16  # peers that take long solve the first of them
TOLERANCES = [10 ** (-k / 2) for k in range(4, 22)]
GAPS = (1e-4, 1e-6)
BUDGET = 20  # seconds of one fit after which no smaller tolerance is tried

Fit = Callable[[float], np.ndarray]


def cpu_seconds(work: Callable, times: int = 3) -> float:
    taken = []
    for _ in range(times):
        start = time.process_time()
        work()
        taken.append(time.process_time() - start)
    return min(taken)


def one_by_one(make: Callable, B: np.ndarray, y: np.ndarray) -> Fit:
    return lambda tol: np.stack([make(tol).fit(B, row).coef_.ravel() for row in y])


def peers(B: torch.Tensor, y: torch.Tensor, alpha: float) -> dict[str, tuple[Fit, int, list[float]]]:
    """Name to what fits images with a tolerance, how many images, and the tolerances; one for exact methods."""
    design, few, every = np.asfortranarray(B.numpy()), y[:FEW].numpy(), np.asfortranarray(y.numpy().T)
    scaled = alpha / len(design)  # all but SPAMS divide the squares by m
    common = {"alpha": scaled, "fit_intercept": False}

    def with_gram(make: Callable) -> Fit:
        def fit(tol: float) -> np.ndarray:
            gram = np.ascontiguousarray(design.T @ design)
            return np.stack([make(tol, gram).fit(design, row).coef_.ravel() for row in few])

        return fit

    def by_spams(tol: float) -> np.ndarray:
        return spams.lasso(every, D=design, lambda1=alpha, mode=2, numThreads=1, L=-1).toarray().T

    long = {"max_iter": 500, "max_epochs": 100_000}
    return {
        "scikit-learn": (one_by_one(lambda t: Lasso(tol=t, max_iter=10**6, **common), design, few), FEW, TOLERANCES),
        "scikit-learn, Gram": (
            with_gram(lambda t, g: Lasso(tol=t, max_iter=10**6, precompute=g, **common)), FEW, TOLERANCES
        ),
        "LassoLars": (with_gram(lambda t, g: LassoLars(precompute=g, fit_path=False, eps=1e-15, **common)), FEW, [0.0]),
        "celer": (one_by_one(lambda t: celer.Lasso(tol=t, **common, **long), design, few), FEW, TOLERANCES),
        "skglm": (one_by_one(lambda t: skglm.Lasso(tol=t, **common, **long), design, few), FEW, TOLERANCES),
        "SPAMS": (by_spams, IMAGES, [0.0]),
    }  # fmt: skip


def reached(fit: Fit, tolerances: list[float], B: torch.Tensor, y: torch.Tensor, alpha: float, gap: float) -> float:
    """CPU seconds of a fit whose gaps are small enough, or infinity."""
    for tol in tolerances:
        start = time.process_time()
        theta = torch.from_numpy(np.ascontiguousarray(fit(tol), dtype=np.float64))
        taken = time.process_time() - start
        if duality_gap(B, y[: len(theta)], alpha, theta)[1].max() <= gap:
            return min(taken, cpu_seconds(lambda tol=tol: fit(tol), 2))
        if taken > BUDGET:
            break
    return float("inf")


GOALS = {25: 1.5, 100: 1.5, 200: 1.9, 500: 3.0}  # times as long as ours that the fastest peer is to take
SHORT = pytest.mark.xfail(reason="measured 1.5 to 1.7: a hundred knots at the rate at which the Gram matrix is read")
LINES = [
    (part, m) if (part, m) != (10, 500) else pytest.param(10, 500, marks=SHORT) for part in (100, 10) for m in GOALS
]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("part", "m"), LINES)
def test_digits(benchmark, part, m):
    torch.set_num_threads(1)
    given, _ = Problem("mnist", "gaussian", m, 0.1, 0, IMAGES).simulate()
    B, y = DCT2((1, 28, 28))(given.A.matrix().double()), given.y.double()
    alpha = (y @ B).abs().amax(1).median().item() / part
    solution = benchmark.pedantic(solve_lasso, (B, y, alpha), rounds=3, warmup_rounds=1)
    assert solution.gap.max() < 1e-10
    ours = cpu_seconds(lambda: solve_lasso(B, y, alpha), 5) / IMAGES
    line, best = f"| alpha_max/{part} | {m} | {1e3 * ours:.2f} |", {}
    for name, (fit, images, tolerances) in peers(B, y, alpha).items():
        times = [
            reached(fit, tolerances, B, y, alpha, gap) / images for gap in (GAPS if len(tolerances) > 1 else GAPS[1:])
        ]
        best[name] = times
        line += " " + " / ".join(f"{t / ours:.3g}" if t < float("inf") else "-" for t in times) + " |"
    print(f"\n| penalty | m | ours, ms | {' | '.join(best)} |\n{line}")
    fastest = min(min(times) for times in best.values())
    benchmark.extra_info |= {"ms_per_image": 1e3 * ours, "fastest_peer_over_ours": fastest / ours}
    if part == 100 and m <= 200:
        assert best["scikit-learn"][1] > 20 * ours
    assert fastest > GOALS[m] * ours


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("m", [500, 2500])
def test_faces(benchmark, m):
    """n = 12288 at a gap of 1e-4; here the goals of 2 and 3 times the fastest peer are not reached."""
    torch.set_num_threads(1)
    try:
        given, _ = Problem("celeba", "gaussian", m, 0.1, 0, IMAGES).simulate()
    except Exception as error:
        pytest.skip(str(error))
    psi, A = DCT2(given.image_shape), given.A.matrix()
    B, y = psi(A.double()), given.y.double()
    alpha = (y @ B).abs().amax(1).median().item() / 100
    solution = benchmark.pedantic(admm.lasso_path, (A, psi, given.y, [alpha], 1e-4), rounds=1)[0]
    assert solution.gap.max() <= 1e-4
    ours = cpu_seconds(lambda: admm.lasso_path(A, given.y, psi, [alpha], tol=1e-4), 1) / IMAGES
    narrow, design, few = np.asfortranarray(B.float().numpy()), np.asfortranarray(B.numpy()), 3
    common = {"alpha": alpha / m, "fit_intercept": False}
    fits = {
        "scikit-learn, float32": one_by_one(
            lambda t: Lasso(tol=t, max_iter=10**5, **common), narrow, y[:few].float().numpy()
        ),
        "celer": one_by_one(lambda t: celer.Lasso(tol=t, max_epochs=50_000, **common), design, y[:few].numpy()),
        "skglm": one_by_one(lambda t: skglm.Lasso(tol=t, max_epochs=50_000, **common), design, y[:few].numpy()),
    }
    times = {name: reached(fit, TOLERANCES[2::2], B, y, alpha, 1e-4) / few for name, fit in fits.items()}
    ratios = {name: taken / ours for name, taken in times.items()}
    benchmark.extra_info |= {"seconds_per_image": ours} | ratios
    print(f"\nfaces, m = {m}: {ours:.3f} s per image; " + ", ".join(f"{n} {r:.2f}" for n, r in ratios.items()))
    assert min(ratios.values()) > 0.4


def test_two_threads_share_the_images(benchmark):
    given, _ = Problem("mnist", "gaussian", 200, 0.1, 0, IMAGES).simulate()
    B, y = DCT2((1, 28, 28))(given.A.matrix().double()), given.y.double()
    alpha = (y @ B).abs().max().item() / 1000

    def wall(threads: int) -> float:
        torch.set_num_threads(threads)
        start = time.perf_counter()
        solve_lasso(B, y, alpha)
        return time.perf_counter() - start

    try:
        wall(1)
        one, two = min(wall(1) for _ in range(3)), benchmark.pedantic(lambda: min(wall(2) for _ in range(3)), rounds=1)
    finally:
        torch.set_num_threads(1)
    print(f"two threads: {one / two:.2f} times as fast as one")
    assert one / two > 1.3
