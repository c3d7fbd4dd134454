"""Batched solvers that methods share, and the one way in which all are called:

    solution = solve(A, y, prior, penalty, *, options)

First the operator, or the matrix A Psi^T or A itself where the solver works on a matrix, and the measurements, shape
[batch, m]; then what is known of images beforehand, where the solver is for more than one such thing: a transform, a
generator, a denoiser, the shape of the image; then the penalty, or penalties, in the units of the objective that the
module states: `alpha` of the l1 norm and of total variation, `lmbd` of ||z||^2, the sparsity `k`, the noise that a
denoiser is told. The same things have the same names everywhere: `noise_norm`, `noise_std`, `tol`, `iterations`, `rng`.
They, and what says how the search is done, are given by keyword; where there is much of it, as one frozen dataclass
`options`.

What comes back is a frozen dataclass called a Solution, with x_hat, or theta where that is the image's coefficients,
and for each image `iterations` and, where the solver can tell, `converged`, `gap`, `objective` and `residual`. Solvers
for several penalties return one for each. `diagnostics()` is what a method reports of them.

Modules that share a Gram matrix among compiled loops (`homotopy`, `splitting`, `coordinates`, `omp`) are parts of
solvers and take what these have computed.
"""
