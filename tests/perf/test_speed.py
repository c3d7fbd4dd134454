"""Timings as ratios within one run: `pytest tests/perf --benchmark-only`. One thread throughout."""

import time

import pytest
import torch
from sklearn.linear_model import Lasso

from csbench import Problem, get_method, load_prior, stream
from csbench.priors.csgm import LatentSearch, search_latent
from csbench.solvers.lasso import solve_lasso
from csbench.transforms import DCT2


def seconds(function) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


@pytest.mark.parametrize(("m", "goal"), [(25, 20), (100, 5), (200, 2), (500, 0.3)])
def test_lasso_beside_scikit_learn(benchmark, m, goal):
    """Ours is exact; scikit-learn stops at a relative gap of 1e-6. At m = 500 its coordinate descent is the faster."""
    given, _ = Problem("mnist", "gaussian", m, 0.1, 0, 20).simulate()
    B, y = DCT2((1, 28, 28))(given.A.matrix().double()), given.y.double()
    alpha = (y @ B).abs().max().item() / 100
    solution = benchmark.pedantic(solve_lasso, (B, y, alpha), rounds=3, warmup_rounds=1)
    design = B.numpy().copy(order="F")
    # scikit-learn stops at gap <= tol ||y||^2, so this tol is 1e-6 of the objective
    tol = 1e-6 * (solution.objective / y.square().sum(1)).mean().item()
    model = Lasso(alpha=alpha / m, fit_intercept=False, tol=tol, max_iter=100_000)
    theirs = seconds(lambda: [model.fit(design, row) for row in y.numpy()])
    ours = benchmark.stats.stats.median
    benchmark.extra_info |= {"ms_per_image": 50 * ours, "scikit_learn_over_ours": theirs / ours}
    print(f"m={m}: {50 * ours:.2f} ms per image, scikit-learn takes {theirs / ours:.1f} times as long")
    assert solution.gap.max() < 1e-9
    assert theirs / ours > goal


def test_csgm_beside_a_loop_over_images_and_restarts(benchmark):
    generator = load_prior("vae-mnist").generator
    given, _ = Problem("mnist", "gaussian", 100, 0.1, 0, 20).simulate()
    steps = 30

    def together():
        return search_latent(generator, given.A, given.y, LatentSearch(0.1, 10, steps, 0.01), stream("x"))

    def one_by_one(images: int):
        for y in given.y[:images]:
            for _ in range(10):
                z = torch.randn(20, requires_grad=True)
                adam = torch.optim.Adam([z], lr=0.01)
                for _ in range(steps):
                    adam.zero_grad()
                    ((given.A(generator(z)) - y).square().sum() + 0.1 * z.square().sum()).backward()
                    adam.step()

    benchmark.pedantic(together, rounds=3, warmup_rounds=1)
    ratio = seconds(lambda: one_by_one(2)) / 2 * 20 / benchmark.stats.stats.median
    benchmark.extra_info["loop_over_batch"] = ratio
    print(f"a loop takes {ratio:.1f} times as long as the batch")
    assert ratio > 3


def test_y_does_not_cost_much(benchmark):
    benchmark(Problem("mnist", "gaussian", 750, 0.1, 0, 100).simulate)
    assert benchmark.stats.stats.median < 2


def test_zeros_cost_nothing(benchmark):
    given, _ = Problem("mnist", "gaussian", 100, 0.1, 0, 100).simulate()
    benchmark(get_method("zeros")().recover, given, stream("x"))
