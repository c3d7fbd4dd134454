"""An operator of one's own, that sees nothing: nobody divides by its norm."""

from typing import Self

import pytest
import torch
from torch import Tensor

from csbench import LinearOperator, Measurement
from tests.clients import every_method


class Nothing(LinearOperator):
    """Zero."""

    mixes = True

    def to(self, dtype: torch.dtype | None = None, device: torch.device | str | None = None) -> Self:
        return type(self)(*self.shape, dtype or self.dtype, torch.device(device or self.device))

    def _apply(self, x: Tensor) -> Tensor:
        return x[..., :1].expand(*x.shape[:-1], self.shape[0]) * 0

    def _adjoint(self, y: Tensor) -> Tensor:
        return y[..., :1].expand(*y.shape[:-1], self.shape[1]) * 0


@pytest.mark.parametrize("m", [1, 40, 200])
@pytest.mark.parametrize("noise_std", [0.0, 0.1])
def test_an_operator_that_is_zero(m, noise_std):
    A = Nothing(m, 144, torch.float32, torch.device("cpu"))
    assert A.norm() == 0
    y = noise_std * torch.randn(2, m, generator=torch.Generator().manual_seed(0))
    every_method(Measurement(A, y, noise_std, (1, 12, 12)), iterations=10, max_iterations=200)
