"""A method that draws from the generators of NumPy, Python or torch draws the same in every run of a cell."""

import random
from dataclasses import dataclass

import numpy as np
import torch

from csbench import Measurement, Method
from csbench.operators import Gaussian
from csbench.runner.solving import solve


@dataclass(frozen=True)
class Gambler(Method):
    def recover(self, given: Measurement, rng: torch.Generator) -> torch.Tensor:
        drawn = np.random.rand(given.n) + random.random() + torch.rand(1).item()  # noqa: NPY002
        return torch.from_numpy(drawn).to(given.y).expand(given.batch, -1).clone()


def test_they_are_seeded_for_each_cell():
    A = Gaussian.draw(5, 16, torch.Generator().manual_seed(0))
    given = Measurement(A, torch.ones(2, 5), 0.0, (1, 4, 4))
    first = solve(Gambler(), given, 2**32 + 7).x_hat
    np.random.rand(3)  # noqa: NPY002
    random.random()
    again, other = solve(Gambler(), given, 2**32 + 7).x_hat, solve(Gambler(), given, 8).x_hat
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
