"""`csbench new-method`: a working method and its test, to be changed into one's own."""

from __future__ import annotations

import re
from pathlib import Path

from csbench.catalogue.registry import entries
from csbench.core.errors import UsageError
from csbench.core.files import write_atomically
from csbench.core.names import kebab

METHOD = '''"""Ridge regression on the pixels. Say here what your method is, and which paper it is from."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from csbench.core.measurement import Measurement
from csbench.core.method import Method, Recovery


@dataclass(frozen=True)
class CLASS(Method):
    """The minimiser of ||A x - y||^2 + alpha ||x||^2 (Tikhonov 1963), clipped to [0, 1]. Name your paper here.

    A last paragraph with its arXiv number or DOI, as in `Papers: doi:10.1109/83.661180`, puts it into `csbench cite`.

    Attributes:
        alpha: weight of ||x||^2.
    """

    # Hyper-parameters are typed fields with defaults. They are stored with every result and shown on the leaderboard.
    alpha: float = 0.01

    def recover(self, given: Measurement, rng: torch.Generator) -> Recovery:
        # `given` is all there is to know: A of shape (m, n), y of shape [batch, m], noise_std of each entry of the
        # noise, and image_shape. Besides A.matrix() there are A(x) and A.adjoint(y). Draw all randomness from `rng`,
        # and raise csbench.NotApplicable where the method does not serve a kind of problem.
        A = given.A.matrix()
        gram = A @ A.T + self.alpha * torch.eye(given.m, dtype=A.dtype, device=A.device)
        x_hat = torch.linalg.solve(gram, given.y.T).T @ A
        # Shape [batch, n], dtype and device of y. Diagnostics are tensors of shape [batch]; an image whose `converged`
        # is 0 is flagged on the leaderboard.
        residual = (given.A(x_hat) - given.y).norm(dim=1)
        return Recovery(x_hat.clamp(0, 1), {"residual": residual})
'''

TEST = '''"""NAME: the rules that every method keeps, and what more measurements and less noise must bring."""

import pytest
import torch

from csbench import Measurement, NotApplicable, Recovery, get_method, stream
from csbench.core.errors import MissingWeights
from csbench.operators import Gaussian
from csbench.studies.conformance import CHECKS, examine


def bound():
    return get_method("NAME")().bind("mnist", "gaussian", 0.1)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_conforms(check):
    verdict = examine(check, bound())
    assert verdict.outcome != "failed", verdict.reason


def test_more_measurements_help():
    # Pictures that are made here, five discs: what a method is tried on while it is written must be no test image.
    rows, columns = torch.meshgrid(torch.arange(28.0), torch.arange(28.0), indexing="ij")
    discs = [(rows - 14).square() + (columns - 10 - 2 * i).square() < (4 + i) ** 2 for i in range(5)]
    x = torch.stack(discs).float().reshape(5, 784)
    errors = []
    for m in (25, 400):
        A = Gaussian.draw(m, 784, stream("A", m))
        y = A(x) + 0.1 / m**0.5 * torch.randn(5, m, generator=stream("noise", m))
        try:
            answer = bound().recover(Measurement(A, y, 0.1 / m**0.5, (1, 28, 28)), stream("test"))
        except (NotApplicable, MissingWeights) as refusal:
            pytest.skip(str(refusal))
        x_hat = answer.x_hat if isinstance(answer, Recovery) else answer
        errors.append((x_hat - x).square().mean().item())
    assert errors[1] <= errors[0]


# Where there is another implementation, or a case that can be solved by hand, compare with it here.
'''


def new_method(name: str, folder: Path = Path()) -> list[Path]:
    """Write `methods/NAME.py` and `tests/test_NAME.py` in a checkout.

    Args:
        name: in kebab case, such as `basis-pursuit`.
        folder: the checkout.

    Returns:
        the two files.

    Raises:
        UsageError: not such a name, or taken; no checkout; nothing is written then.
    """
    words = name.split("-")
    class_name = "".join(word.capitalize() for word in words)
    if not all(re.fullmatch("[a-z][a-z0-9]*", word) for word in words) or kebab(class_name) != name:
        raise UsageError(f"{name!r} is not a name such as basis-pursuit: lower case words joined by hyphens")
    if name in entries("methods"):
        raise UsageError(f"there is a method called {name!r}: {entries('methods')[name].path}")
    if not (folder / "methods").is_dir() or not (folder / "tests").is_dir():
        raise UsageError(
            f"{folder.resolve()} has no methods/ and tests/: run this in a checkout of csbench. For a method in a "
            "package of your own, declare the entry-point group csbench.methods, as CONTRIBUTING.md shows"
        )
    module = name.replace("-", "_")
    files = {
        folder / "methods" / f"{module}.py": METHOD.replace("CLASS", class_name),
        folder / "tests" / f"test_{module}.py": TEST.replace("NAME", name),
    }
    for path in files:
        if path.exists():
            raise UsageError(f"{path} is there already; take another name or move it away")
    for path, text in files.items():
        write_atomically(path, text.encode())
    return list(files)
