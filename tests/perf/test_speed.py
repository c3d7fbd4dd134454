"""Timings as ratios within one run: `pytest tests/perf -n 0 --benchmark-only`. One thread throughout."""

import time

import torch

from csbench import Problem, get_method, load_prior, stream
from csbench.solvers.latent.csgm import LatentSearch, search_latent


def seconds(function) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def test_csgm_beside_a_loop_over_images_and_restarts(benchmark):
    generator = load_prior("vae-mnist").generator
    given, _ = Problem("mnist", "gaussian", 100, 0.1, 0, 20).simulate()
    steps = 30

    def together():
        return search_latent(
            given.A,
            given.y,
            generator,
            0.1,
            rng=stream("x"),
            options=LatentSearch(restarts=10, steps=steps, learning_rate=0.01),
        )

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
