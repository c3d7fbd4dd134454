"""Runs csbench with its annotations enforced, shapes included: `python -m tests.enforced CHECK ...`.

A process of its own, since the annotations are enforced in modules that are imported after this one has begun.
"""

import inspect
import math
import sys
from collections.abc import Callable
from typing import Any, Self, runtime_checkable

import numba
from beartype import BeartypeConf, BeartypeHintOverrides, beartype
from jaxtyping import TypeCheckError, install_import_hook

CONFIGURATION = BeartypeConf(
    is_pep484_tower=True,  # an int where a float is wanted
    hint_overrides=BeartypeHintOverrides({Self: Any}),  # which methods can only be checked for with their class
)
_compile = numba.njit


def typechecked(function: Callable) -> Callable:
    return beartype(function, conf=CONFIGURATION)


def njit(*arguments, **options):
    """`numba.njit` of the function that the import hook has wrapped, for numba compiles no wrapper."""
    return lambda function: _compile(*arguments, **options)(inspect.unwrap(function))


numba.njit = njit
install_import_hook("csbench", "__main__.typechecked")

from csbench.core.transforms import DCT2, Transform, Wavelet2  # noqa: E402

runtime_checkable(Transform)

import torch  # noqa: E402

from csbench import Measurement, Recovery  # noqa: E402
from csbench.catalogue.registry import entries, get_method, get_operator  # noqa: E402
from csbench.catalogue.suites import load_suite  # noqa: E402
from csbench.core import metrics  # noqa: E402
from csbench.core.seeding import stream  # noqa: E402
from csbench.operators import Gaussian, Identity, ImageOperator, LinearOperator, from_matrix  # noqa: E402
from csbench.priors.generator import ReLUGenerator  # noqa: E402
from csbench.priors.mixture import Mixture  # noqa: E402
from csbench.priors.pca import GaussianPrior  # noqa: E402
from csbench.runner.plan import make_cells  # noqa: E402
from csbench.runner.solving import solve  # noqa: E402
from csbench.solvers import denoisers, plug_and_play, total_variation  # noqa: E402
from csbench.solvers.lasso import admm, path, splitting  # noqa: E402
from csbench.solvers.latent import csgm, projection, quasi_newton  # noqa: E402
from csbench.solvers.sparse import greedy, wavelet_trees  # noqa: E402

SHAPE = (1, 8, 8)
N, M, BATCH = 64, 24, 3


def draw(family: type[LinearOperator], shape: tuple[int, int, int]) -> LinearOperator:
    n = math.prod(shape)
    if issubclass(family, ImageOperator):
        ms = sorted(m for m in family.attainable(shape) if m <= n)
        return family.draw_for(ms[len(ms) // 2], shape, stream("test"))
    return family.draw(n if family is Identity else n // 2, n, stream("test"))


def images(*axes: int) -> torch.Tensor:
    return torch.rand(*axes, generator=stream("images"))


def operators() -> None:
    for name in entries("operators").keys() - {"dense-matrix"}:  # which is a user's own, and never drawn
        for shape in ((1, 8, 8), (3, 4, 8)):
            for dtype in (torch.float32, torch.float64):
                A = draw(get_operator(name), shape).to(dtype)
                m, n = A.matrix().shape
                for batch in ((), (2,), (2, 3)):
                    x = A.adjoint(A(images(*batch, n).to(dtype)))
                    assert (m, n, x.shape) == (*A.shape, (*batch, n)), name


def methods() -> None:
    """Those of the suite `quick`, and the peers of the Lasso."""
    suite = load_suite("quick").narrowed(m=(25,), images=2)
    given, _ = make_cells(suite)[0].problem.simulate()
    peers = {name: get_method(name)() for name in ("lasso-sklearn", "lasso-cvxpy")}
    for name, method in ({cell.method_name: cell.method for cell in make_cells(suite)} | peers).items():
        outcome = solve(method, given, 0)
        assert outcome.status == "ok", f"{name}: {outcome.reason}"


def scores() -> None:
    x_hat, x = images(2, BATCH, N)
    for score in (metrics.mse, metrics.relative_l2, metrics.psnr):
        assert score(x_hat, x).shape == (BATCH,)
    assert metrics.ssim(x_hat, x, SHAPE).shape == (BATCH,)
    refused(metrics.mse, x_hat, x[:2])
    refused(metrics.ssim, x_hat[0], x[0], SHAPE)


def solvers() -> None:
    """With what the methods of `quick` do not reach on their small problem."""
    A, psi, rng = Gaussian.draw(M, N, stream("test")), DCT2(SHAPE), stream("rng")
    B, y = A.matrix(), A(images(BATCH, N))
    crowd = A(images(2 * path.FEW, N))
    for alpha in (1e-3, 0.1, 1.0):
        path.lasso_path(B, crowd, [alpha])
        admm.lasso_path(B, y, psi, [alpha], tol=1e-9, options=admm.Effort(iterations=5, rounds=1))
    repeated = torch.cat([B, B], 1)  # equal columns
    path.lasso_path(repeated, y, [1e-2])
    path.solve_discrepancy(B, y, 0.1)
    path.basis_pursuit(B, y)
    double = B.double()
    splitting.solve_batch((double.T @ double).numpy(), (crowd.double() @ double).numpy(), 0.1, M)
    trees = wavelet_trees.wavelet_trees(SHAPE, 2)
    greedy.omp(B, y, 4)
    greedy.cosamp(B, y, 4, project=trees.project)
    greedy.iht(A, y, Wavelet2(SHAPE, "haar", 2), 4)
    for box in (False, True):
        total_variation.tv_path(A, y, SHAPE, [0.1], box=box)[0].diagnostics()
    denoise = denoisers.total_variation(SHAPE, 1.0)
    iterates = plug_and_play.message_passing(A, y, denoise, rng=rng)
    plug_and_play.least_noisy([next(iterates) for _ in range(2)])
    plug_and_play.damp(A, y, denoise, rng=rng, iterations=2)
    plug_and_play.admm(A, y, denoise, [0.2, 0.1], noise_std=0.01)


def priors() -> None:
    A, rng = Gaussian.draw(M, N, stream("test")), stream("rng")
    x = images(BATCH, N)
    generator = ReLUGenerator.random(4, [16], N, rng).requires_grad_(False)
    slow = csgm.LatentSearch(restarts=2, steps=5, learning_rate=0.1)
    csgm.search_latent(A, A(x), generator, 0.1, rng=rng, options=slow)
    fast = quasi_newton.FastSearch(candidates=20, restarts=4, rung=2, rungs=4, bf16=True)
    quasi_newton.search_latent_fast(A, A(x), generator, 0.1, rng=rng, options=fast)
    projection.nearest(x, generator, rng=rng)
    projection.misfit(x, generator, rng=rng)
    B, y = A.matrix().double(), A(x).double()
    basis = torch.linalg.qr(images(N, 5).double()).Q.T
    GaussianPrior(x[0].double(), basis, torch.ones(5).double(), 0.1).truncated(3).posterior_mean(B, y, 0.1)
    mixture = Mixture(torch.full((2,), 0.5), images(2, N), images(2, N, 3), torch.ones(2, N))
    mixture.log_joint(x)
    mixture.log_likelihood(x)
    Mixture(*(tensor.double() for tensor in mixture.tensors().values())).posterior_mean(B, y, 0.1)


def refusals() -> None:
    """Wrong shapes and dtypes, which csbench itself would only notice later, with another message or not at all."""
    A, psi, rng = Gaussian.draw(M, N, stream("test")), DCT2(SHAPE), stream("rng")
    B, y, short, x = A.matrix(), images(BATCH, M), images(BATCH, M - 1), images(BATCH, N)
    assert from_matrix(B).matrix() is B
    refused(from_matrix, B[0])
    refused(A, images(N).int())
    refused(A.adjoint, y.int())
    for solver in (path.solve_discrepancy, path.solve_lasso):
        solver(B, y, 0.1)
        refused(solver, B, short, 0.1)
        refused(solver, B, y[0], 0.1)
    for pursuit in (greedy.omp, greedy.cosamp):
        pursuit(B, y, 3)
        refused(pursuit, B, short, 3)
    refused(greedy.iht, A, y[0], psi, 3)
    refused(admm.lasso_path, B, short, psi, [0.1], tol=1e-6)
    refused(total_variation.tv_path, A, y[0], SHAPE, [0.1])
    refused(total_variation.gradient, x)
    generator = ReLUGenerator.random(4, [16], N, rng)
    refused(generator, images(4))
    options = csgm.LatentSearch(restarts=2, steps=5, learning_rate=0.1)
    refused(csgm.search_latent, A, y[0], generator, 0.1, rng=rng, options=options)
    Measurement(A, y, 0.1, SHAPE)
    refused(Measurement, A, y[0], 0.1, SHAPE)
    Recovery(x, {"residual": torch.ones(BATCH)})
    refused(Recovery, x[0])
    refused(Recovery, x, {"residual": torch.ones(BATCH + 1)})
    refused(GaussianPrior, torch.ones(N).double(), torch.ones(5, N).double(), torch.ones(4).double(), 0.1)


def refused(call: Callable, *arguments: object, **options: object) -> None:
    try:
        call(*arguments, **options)
    except TypeCheckError:
        return
    raise AssertionError(f"{call} accepts what its annotations do not allow")


if __name__ == "__main__":
    torch.set_num_threads(1)
    for name in sys.argv[1:]:
        {check.__name__: check for check in (operators, methods, scores, solvers, priors, refusals)}[name]()
