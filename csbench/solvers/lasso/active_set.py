"""The Lasso for one right-hand side, exactly, from a guess: a parametric active-set method.

    minimise  1/2 ||y - B theta||^2 + alpha ||theta||_1

Any guess with linearly independent columns in its support is the minimiser of a problem with another linear term, whose
vector h is the violation of the optimality conditions. Taking t from 0 to 1 in (1 - t) h^T theta the minimiser moves on
a piecewise linear path, as it does when the penalty changes (Osborne, Presnell, Turlach 2000; Ferreau, Bock, Diehl
2008). Each knot mends one mistake in the support, so that a good guess costs one Cholesky factorisation and few knots.
Where columns are equal or opposite, problems with other linear terms may be unbounded: then the guess has to be good.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64, Int64
from numba import njit
from scipy.linalg import blas, lapack

DEPENDENT = 1e-11  # squared distance of a column from the span of the others, relative to its squared norm
BLOCK = 1024  # rows of B that are held in float64 at a time
CANDIDATES = 0.7  # columns that may enter have at least this share of the penalty as their correlation


@dataclass
class ActiveSet:
    """The support of one guess with the Cholesky factor of its Gram matrix.

    Attributes:
        columns: float32, the columns of B as rows, shape [n, m]. They need only be close to those of B: the
            correlations that `move` is given decide where the path ends, and calling it again refines the solution.
        support: of the guess, int64, shape [room], of which the first `size` entries count.
        value: theta on the support, float64, shape [room].
        factor: lower triangle, float64, shape [room, room].
    """

    columns: Float32[np.ndarray, "n m"]
    support: Int64[np.ndarray, " room"]
    value: Float64[np.ndarray, " room"]
    factor: Float64[np.ndarray, "room room"]
    size: int

    @classmethod
    def of(cls, columns: Float32[np.ndarray, "n m"], theta: Float64[np.ndarray, " n"]) -> ActiveSet:
        """Starts from theta, shape [n], less the smallest entries, as many as keep the columns independent."""
        n, m = columns.shape
        support = np.flatnonzero(theta)
        support = support[np.argsort(-np.abs(theta[support]))][: min(m, n)]
        factor, independent = _factor(columns, support)
        while independent < len(support):
            support = support[:independent]
            factor, independent = _factor(columns, support)
        state = cls(columns, support, theta[support], factor, len(support))
        state._make_room()
        return state

    @property
    def theta(self) -> Float64[np.ndarray, " n"]:
        """float64, shape [n]."""
        theta = np.zeros(len(self.columns))
        theta[self.support[: self.size]] = self.value[: self.size]
        return theta

    def move(self, correlation: Float64[np.ndarray, " n"], alpha: float, knots: int) -> int:
        """Follow the path from the present theta to the minimiser.

        Args:
            correlation: B^T (y - B theta) of the present theta, float64, shape [n].
            knots: at most so many.

        Returns:
            the number of knots. The path may be given up on the way, for want of room or of knots.
        """
        wanted = np.abs(correlation) >= CANDIDATES * alpha
        wanted[self.support[: self.size]] = True
        state = (self.factor, self.support, self.value, self.size)
        self.size, used = _move(self.columns, np.flatnonzero(wanted), correlation, alpha, knots, *state)
        if self.size == len(self.support):
            self._make_room()
        return used

    def _make_room(self) -> None:
        extra = min(min(self.columns.shape), self.size + max(64, self.size // 8)) - self.size
        self.support, self.value = np.pad(self.support, (0, extra)), np.pad(self.value, (0, extra))
        self.factor = np.pad(self.factor, (0, extra))


def _factor(columns: np.ndarray, support: np.ndarray) -> tuple[np.ndarray, int]:
    """The Cholesky factor of the support's Gram matrix, made in place, and how many leading columns are independent."""
    size = len(support)
    if size == 0:
        return np.zeros((0, 0)), 0
    gram = np.zeros((size, size), order="F")
    for start in range(0, columns.shape[1], BLOCK):
        part = columns[:, start : start + BLOCK][support].astype(np.float64)
        gram = blas.dsyrk(1.0, part.T, beta=1.0, c=gram, trans=1, overwrite_c=1)  # type: ignore[attr-defined]
    squares = gram.diagonal().copy()
    upper, failed = lapack.dpotrf(gram, overwrite_a=1)  # type: ignore[attr-defined]
    if failed:
        return upper.T, failed - 1
    dependent = np.flatnonzero(upper.diagonal() ** 2 <= DEPENDENT * squares)
    return upper.T, int(dependent[0]) if len(dependent) else size


@njit("void(f8[:,::1], i8, f8[::1], f8[::1])", cache=True, nogil=True)
def _solve(L, s, b, out):
    """out = (L L^T)^-1 b for the leading s x s block of L."""
    for i in range(s):
        t = b[i]
        row = L[i]
        for k in range(i):
            t -= row[k] * out[k]
        out[i] = t / row[i]
    for i in range(s - 1, -1, -1):
        t = out[i] / L[i, i]
        out[i] = t
        row = L[i]
        for k in range(i):
            out[k] -= row[k] * t


@njit("void(f8[:,::1], i8, i8)", cache=True, nogil=True)
def _remove_row(L, s, r):
    """Delete row r from the s x s Cholesky factor and restore its triangle by Givens rotations."""
    for i in range(r, s - 1):
        for k in range(i + 2):
            L[i, k] = L[i + 1, k]
    for i in range(r, s - 1):
        a, b = L[i, i], L[i, i + 1]
        h = np.hypot(a, b)
        c, d = a / h, b / h
        L[i, i], L[i, i + 1] = h, 0.0
        for k in range(i + 1, s - 1):
            p, q = L[k, i], L[k, i + 1]
            L[k, i], L[k, i + 1] = c * p + d * q, c * q - d * p


@njit("f8(f4[:,::1], i8, i8)", cache=True, nogil=True, fastmath=True)
def _inner(columns, i, j):
    total = 0.0
    for k in range(columns.shape[1]):
        total += np.float64(columns[i, k]) * np.float64(columns[j, k])
    return total


@njit("f8(f4[::1], f8[::1])", cache=True, nogil=True, fastmath=True)
def _dot(column, vector):
    total = 0.0
    for k in range(len(column)):
        total += np.float64(column[k]) * vector[k]
    return total


@njit("void(f4[:,::1], i8[::1], i8, f8[::1], f8[::1])", cache=True, nogil=True, fastmath=True)
def _combine(columns, support, s, weight, out):
    """out = sum over k of weight[k] columns[support[k]]."""
    out[:] = 0.0
    for k in range(s):
        w, column = weight[k], columns[support[k]]
        for i in range(len(out)):
            out[i] += w * np.float64(column[i])


@njit("f8(f4[:,::1], i8[::1], i8, f8[:,::1], i8)", cache=True, nogil=True)
def _border(columns, support, s, L, j):
    """Fill row s of the factor for column j but for its diagonal; returns the square of that."""
    square = _inner(columns, j, j)
    for i in range(s):
        v = _inner(columns, j, support[i])
        for k in range(i):
            v -= L[i, k] * L[s, k]
        v /= L[i, i]
        L[s, i] = v
        square -= v * v
    return square


@njit("void(i8[::1], f8[::1], f8, i8[::1], f8[::1], i8, f8[::1], b1[::1], f8[::1], f8[::1])", cache=True, nogil=True)
def _split(candidates, correlation, alpha, support, value, s, sign, outside, q, h):
    """correlation = q + h, where q satisfies the optimality conditions of the present theta and h violates them.

    Fills sign, of the s entries of the support, and marks the candidates outside of it.
    """
    for j in candidates:
        outside[j] = True
        if abs(q[j]) > alpha:
            q[j] = 0.999 * alpha * np.sign(q[j])  # not quite at the bound, lest all violators enter at once
            h[j] = correlation[j] - q[j]
    for k in range(s):
        j = support[k]
        outside[j] = False
        sign[k] = np.sign(value[k])
        q[j] = alpha * sign[k]
        h[j] = correlation[j] - q[j]


@njit("void(f4[:,::1], f8[::1], i8[::1], i8, f8[:,::1], f8[::1], f8[::1], f8[::1])", cache=True, nogil=True)
def _turn(columns, h, support, s, L, work, direction, image):
    """The direction in which theta moves on the support as t grows, and its image, B_S direction."""
    for k in range(s):
        work[k] = h[support[k]]
    _solve(L, s, work, direction)
    _combine(columns, support, s, direction, image)


@njit(
    "Tuple((f8, i8, i8))(f4[:,::1], i8[::1], b1[::1], f8[::1], f8[::1], f8, f8[::1], f8[::1], i8, f8[::1], f8[::1], "
    "f8[::1], i8, f8)",
    cache=True,
    nogil=True,
)
def _next_knot(columns, candidates, outside, h, q, alpha, image, slope, just_left, sign, value, direction, s, step):
    """How far t grows until the support changes, `step` at most; the column that enters; the index of what leaves.

    The last two are -1 where nothing does. Fills the slope of q for the candidates outside of the support.
    """
    entering, leaving = -1, -1
    for j in candidates:
        if outside[j]:
            slope[j] = h[j] - _dot(columns[j], image)
            # What has just left may come back with the other sign, but not at once with the same.
            if slope[j] != 0.0 and not (j == just_left and slope[j] * q[j] > 0):
                d = max((alpha - q[j]) / slope[j] if slope[j] > 0 else -(alpha + q[j]) / slope[j], 0.0)
                if d < step:
                    step, entering = d, j
    for k in range(s):
        if direction[k] * sign[k] < 0:
            d = -value[k] / direction[k]
            if d < step:
                step, entering, leaving = d, -1, k
    return step, entering, leaving


@njit("void(f8, f8[::1], f8[::1], i8, i8[::1], b1[::1], f8[::1], f8[::1])", cache=True, nogil=True)
def _advance(step, direction, value, s, candidates, outside, slope, q):
    """theta and q, outside of the support, where t is larger by `step`."""
    for k in range(s):
        value[k] += step * direction[k]
    for j in candidates:
        if outside[j]:
            q[j] += step * slope[j]


@njit("void(f8[:,::1], i8[::1], f8[::1], f8[::1], i8, i8)", cache=True, nogil=True)
def _leave(L, support, sign, value, s, leaving):
    """The entry at index `leaving` leaves the support, whose size s was; entries behind it move up."""
    _remove_row(L, s, leaving)
    for k in range(leaving, s - 1):
        support[k], sign[k], value[k] = support[k + 1], sign[k + 1], value[k + 1]


@njit(
    "UniTuple(i8, 2)(f4[:,::1], i8[::1], f8[::1], f8, i8, f8[:,::1], i8[::1], f8[::1], i8)",
    cache=True,
    nogil=True,
)
def _move(columns, candidates, correlation, alpha, limit, L, support, value, s):
    """Returns the new size of the support and the number of knots. Candidates include the support."""
    n, m = columns.shape
    room = len(support)
    h, q = np.zeros(n), correlation.copy()  # q: correlation less (1 - t) h, at +-alpha on the support
    outside = np.zeros(n, np.bool_)
    sign, direction, work = np.empty(room), np.empty(room), np.empty(room)
    image = np.empty(m)
    slope = np.empty(n)
    _split(candidates, correlation, alpha, support, value, s, sign, outside, q, h)
    t, knots, just_left = 0.0, 0, -1
    while knots <= limit:
        _turn(columns, h, support, s, L, work, direction, image)
        step, entering, leaving = _next_knot(
            columns, candidates, outside, h, q, alpha, image, slope, just_left, sign, value, direction, s, 1.0 - t
        )
        t += step
        _advance(step, direction, value, s, candidates, outside, slope, q)
        if entering < 0 and leaving < 0:
            return s, knots
        knots += 1
        just_left, left = -1, -1
        up, start, square = 0.0, 0.0, 0.0
        if entering >= 0:
            up = np.sign(q[entering])
            if s == room < m:
                return s, knots
            square = _border(columns, support, s, L, entering) if s < m else 0.0
            if square <= DEPENDENT * _inner(columns, entering, entering):
                # The column is a combination of the support's: weight moves to it, and B theta stays, till one is free.
                for k in range(s):
                    work[k] = up * _inner(columns, entering, support[k])
                _solve(L, s, work, direction)
                start, leaving = np.inf, -1
                for k in range(s):
                    if direction[k] * sign[k] > 0 and value[k] / direction[k] < start:
                        start, leaving = value[k] / direction[k], k
                if leaving < 0:
                    return s, knots
                for k in range(s):
                    value[k] -= start * direction[k]
        if leaving >= 0:
            left = support[leaving]
            if entering < 0:
                just_left = left
            _leave(L, support, sign, value, s, leaving)
            s -= 1
        if entering >= 0:
            if leaving >= 0:
                square = _border(columns, support, s, L, entering)
            if square <= 0:
                return s, knots
            L[s, s] = np.sqrt(square)
            support[s], sign[s], value[s] = entering, up, start * up
            outside[entering] = False
            s += 1
        if leaving >= 0:
            q[left] = alpha * np.sign(q[left])
            outside[left] = True
    return s, knots
