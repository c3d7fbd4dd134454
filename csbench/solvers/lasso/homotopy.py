"""The Lasso path of many right-hand sides on one Gram matrix, compiled; `csbench.solvers.lasso.path` has the problem.

The path may be followed in float32, which only finds the support and its signs: wherever a solution is wanted, the
optimality conditions are solved on that support to the accuracy of float64, by iterative refinement (Higham 2002,
chapter 12). Whether the support is right is for the caller to certify.
"""

from __future__ import annotations

import numpy as np
from numba import njit

BLOCK = 16  # entries whose minimum is taken together
FAR = np.float32(1e30)  # longer than any step
FRESH = np.float32(0.1)  # when the penalty has fallen by this, the path begins afresh at an exact solution
CLOSE, NEAR = 1e-15, 1e-8  # residuals of solutions that are wanted, and of those from which a path begins afresh

# Sums may be taken in any order, so that loops run on vectors. Values are finite: FAR stands for infinity.
FAST = {"reassoc", "contract", "nsz", "nnan", "arcp"}


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def dot(a, b, n):
    total = a[0] * 0
    for k in range(n):
        total += a[k] * b[k]
    return total


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def add(weight, a, out, n):
    """out[:n] += weight a[:n]"""
    for k in range(n):
        out[k] += weight * a[k]


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def combine(gram, support, s, weight, out):
    """out = sum over k < s of weight[k] gram[support[k]], eight rows at a time."""
    out[:] = 0
    k = 0
    while k + 7 < s:
        w0, w1, w2, w3 = weight[k], weight[k + 1], weight[k + 2], weight[k + 3]
        w4, w5, w6, w7 = weight[k + 4], weight[k + 5], weight[k + 6], weight[k + 7]
        g0, g1, g2, g3 = gram[support[k]], gram[support[k + 1]], gram[support[k + 2]], gram[support[k + 3]]
        g4, g5, g6, g7 = gram[support[k + 4]], gram[support[k + 5]], gram[support[k + 6]], gram[support[k + 7]]
        for i in range(len(out)):
            out[i] += w0 * g0[i] + w1 * g1[i] + w2 * g2[i] + w3 * g3[i]
            out[i] += w4 * g4[i] + w5 * g5[i] + w6 * g6[i] + w7 * g7[i]
        k += 8
    while k < s:
        add(weight[k], gram[support[k]], out, len(out))
        k += 1


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def _multiply_outside(gram, support, s, direction, sign, everywhere, outside, slope):
    """`combine` where most columns are in the support, on which the slope is known to be the sign."""
    n = len(slope)
    everywhere[:] = 0
    slope[:] = FAR
    for k in range(s):
        everywhere[support[k]] = direction[k]
        slope[support[k]] = sign[k]
    count = 0
    for i in range(n):
        if slope[i] == FAR:
            outside[count] = i
            count += 1
    i = 0
    while i + 3 < count:
        j0, j1, j2, j3 = outside[i], outside[i + 1], outside[i + 2], outside[i + 3]
        g0, g1, g2, g3 = gram[j0], gram[j1], gram[j2], gram[j3]
        t0, t1, t2, t3 = direction[0] * 0, direction[0] * 0, direction[0] * 0, direction[0] * 0
        for k in range(n):
            v = everywhere[k]
            t0 += g0[k] * v
            t1 += g1[k] * v
            t2 += g2[k] * v
            t3 += g3[k] * v
        slope[j0], slope[j1], slope[j2], slope[j3] = t0, t1, t2, t3
        i += 4
    while i < count:
        slope[outside[i]] = dot(gram[outside[i]], everywhere, n)
        i += 1


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def _waits(c, slope, alpha, flat, wait):
    """How far alpha falls until |c| meets it, for every coordinate; FAR where it never does."""
    one, far = alpha / alpha, alpha / alpha * FAR
    for i in range(len(c)):
        up, down = one - slope[i], one + slope[i]
        above = (alpha - c[i]) / up if up > flat else far
        below = (alpha + c[i]) / down if down > flat else far
        nearer = above if above < below else below
        wait[i] = nearer if nearer > 0 else 0


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def _bar(support, s, wait):
    """What is in the support does not enter it."""
    for k in range(s):
        wait[support[k]] = FAR


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def _first(wait, minima):
    """The index of the smallest entry; there are a multiple of BLOCK."""
    best = 0
    for b in range(len(minima)):
        part = wait[b * BLOCK : (b + 1) * BLOCK]
        least = part[0]
        for k in range(BLOCK):
            least = part[k] if part[k] < least else least
        minima[b] = least
        if least < minima[best]:
            best = b
    for i in range(best * BLOCK, (best + 1) * BLOCK):
        if wait[i] == minima[best]:
            return i
    return best * BLOCK


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def _lower_times(lower, s, b, out):
    """out = lower b for the leading s x s block, which is zero above its diagonal; four rows at a time."""
    i = 0
    while i + 3 < s:
        a0, a1, a2, a3 = lower[i], lower[i + 1], lower[i + 2], lower[i + 3]
        t0, t1, t2, t3 = b[0] * 0, b[0] * 0, b[0] * 0, b[0] * 0
        for k in range(i + 4):
            v = b[k]
            t0 += a0[k] * v
            t1 += a1[k] * v
            t2 += a2[k] * v
            t3 += a3[k] * v
        out[i], out[i + 1], out[i + 2], out[i + 3] = t0, t1, t2, t3
        i += 4
    while i < s:
        out[i] = dot(lower[i], b, i + 1)
        i += 1


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def _upper_times(lower, s, b, out):
    """out = lower^T b, likewise."""
    out[:s] = 0
    i = 0
    while i + 3 < s:
        a0, a1, a2, a3 = lower[i], lower[i + 1], lower[i + 2], lower[i + 3]
        w0, w1, w2, w3 = b[i], b[i + 1], b[i + 2], b[i + 3]
        for k in range(i + 4):
            out[k] += w0 * a0[k] + w1 * a1[k] + w2 * a2[k] + w3 * a3[k]
        i += 4
    while i < s:
        add(b[i], lower[i], out, i + 1)
        i += 1


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def _solve(factor, inverted, b, half, out):
    """out = (L L^T)^-1 b, where L, or its inverse, is given."""
    s = len(b)
    if inverted:
        _lower_times(factor, s, b, half)
        _upper_times(factor, s, half, out)
        return
    for i in range(s):
        half[i] = (b[i] - dot(factor[i], half, i)) / factor[i, i]
    out[:] = half
    for i in range(s - 1, -1, -1):
        out[i] /= factor[i, i]
        add(-out[i], factor[i], out, i)


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def solve_refined(exact, factor, inverted, b, goal, value):
    """value = exact^-1 b in float64, by iterative refinement.

    Args:
        exact: the lower triangle of a symmetric matrix, zero above, shape [s, s].
        factor: its lower Cholesky factor, in float32 or float64.
        inverted: whether that is given by its inverse.
        goal: the residual's largest entry at which to stop, relative to that of b.
    """
    s = len(b)
    scaled, half, change = np.empty(s, factor.dtype), np.empty(s, factor.dtype), np.empty(s, factor.dtype)
    residual, below, above = b.copy(), np.empty(s), np.empty(s)
    value[:] = 0.0
    largest = 0.0
    for k in range(s):
        largest = max(largest, abs(b[k]))
    goal *= largest
    while largest > goal:
        for k in range(s):
            scaled[k] = residual[k] / largest
        _solve(factor, inverted, scaled, half, change)
        for k in range(s):
            value[k] += largest * np.float64(change[k])
        before, largest = largest, 0.0
        _lower_times(exact, s, value, below)
        _upper_times(exact, s, value, above)
        for k in range(s):
            residual[k] = b[k] - below[k] - above[k] + exact[k, k] * value[k]
            largest = max(largest, abs(residual[k]))
        if largest > before / 2:
            break


@njit(cache=True, nogil=True, error_model="numpy")
def block_of(gram, support, s):
    """The lower triangle of gram on the first s entries of the support, shape [s, s]."""
    out = np.zeros((s, s), gram.dtype)
    for i in range(s):
        row = gram[support[i]]
        for k in range(i + 1):
            out[i, k] = row[support[k]]
    return out


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def _drop(inverse, u, s, r):
    """Row and column r leave a matrix whose Cholesky factor L has this inverse, and u = L^-1 sign; s is still its size.

    Givens rotations clear column r of the inverse but for its last row. That row then is what the solution loses with
    the column: it is left in place, with its entry of u.
    """
    for i in range(r, s - 1):
        a, b = inverse[i, r], inverse[i + 1, r]
        h = np.sqrt(a * a + b * b)
        p, q = b / h, a / h
        lower, upper = inverse[i], inverse[i + 1]
        for k in range(i + 2):
            v, w = lower[k], upper[k]
            lower[k] = p * v - q * w
            upper[k] = q * v + p * w
        v, w = u[i], u[i + 1]
        u[i], u[i + 1] = p * v - q * w, q * v + p * w


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def _squared_distance(gram, inverse, support, s, entering, work, half):
    """Of a column from the span of the support's; half = L^-1 work, where work are its inner products with those."""
    for k in range(s):
        work[k] = gram[entering, support[k]]
    _lower_times(inverse, s, work, half)
    return gram[entering, entering] - dot(half, half, s)


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def _enter(inverse, u, support, sign, value, direction, s, entering, positive, square, half):
    """A column enters the support, whose size s was; square and half are of `_squared_distance`.

    The inverse of the Cholesky factor gains a row, u = L^-1 sign an entry, and the direction what that adds.
    """
    zero = half[0] * 0
    root = 1 / np.sqrt(square)
    row = inverse[s]
    _upper_times(inverse, s, half, row)
    for k in range(s):
        row[k] *= -root
    row[s] = root
    sign[s] = zero + 1 if positive else zero - 1
    u[s] = root * (sign[s] - dot(half, u, s))
    direction[s], value[s], support[s] = 0, 0, entering
    add(u[s], row, direction, s + 1)


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def _leave(inverse, u, support, sign, value, direction, s, leaving):
    """The entry at index `leaving` leaves the support, whose size s was; entries behind it move up."""
    _drop(inverse, u, s, leaving)
    add(-u[s - 1], inverse[s - 1], direction, s)
    for i in range(leaving, s - 1):
        row = inverse[i]
        for k in range(leaving, i + 1):
            row[k] = row[k + 1]
        row[i + 1] = 0
    for k in range(leaving, s - 1):
        support[k], sign[k] = support[k + 1], sign[k + 1]
        value[k], direction[k] = value[k + 1], direction[k + 1]


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def _next_knot(wait, minima, sign, value, direction, s, rank, alpha, step, squares, residual):
    """How far alpha falls until the support changes, but no further than `step`, and why it stops there.

    Returns:
        step: how far it falls.
        squares: ||y - B theta||^2 then, where `residual` is not negative.
        entering: the column that enters, or -1.
        leaving: the index in the support of what leaves, or -1.
        stops: whether `squares` has fallen to `residual`.
    """
    entering, leaving = -1, -1
    if s < rank:  # else y is explained, and correlations keep their share of alpha
        i = _first(wait, minima)
        if wait[i] < step:
            step, entering = wait[i], i
    for k in range(s):
        if direction[k] * sign[k] < 0:
            d = -value[k] / direction[k]
            if 0 <= d < step:
                step, entering, leaving = d, -1, k
    stops = False
    if residual >= 0:  # ||y - B theta||^2 falls by 2 step alpha w - step^2 w
        w = dot(sign, direction, s)
        excess = (squares - residual) / w
        if excess <= alpha * alpha:
            d = alpha - np.sqrt(alpha * alpha - excess)
            if d <= step:
                step, entering, leaving, stops = d, -1, -1, True
        squares -= step * (2 * alpha - step) * w
    return step, squares, entering, leaving, stops


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def _solve_on_support(gram64, correlation64, inverse, support, sign, s, penalty, goal, exact, fitted):
    """exact = (B_S^T B_S)^-1 (B_S^T y - penalty sign), to a relative residual `goal`; fitted = B^T B_S exact."""
    b = np.empty(s)
    for k in range(s):
        b[k] = correlation64[support[k]] - penalty * sign[k]
    solve_refined(block_of(gram64, support, s), inverse, True, b, goal, exact)
    combine(gram64, support, s, exact, fitted)


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def _begin_afresh(gram64, correlation64, targets, targets64, inverse, support, sign, value, s, c, alpha, fresh, start,
                  stops, steps, t, theta, alphas, knots):  # fmt: skip
    """Solve exactly on the support, go on from there with its rounding errors gone, and store targets reached.

    Args:
        c: B^T (y - B theta); made anew, as `value` is.
        start: the penalty from which theta = 0 is the minimiser.
        stops: the path ends here.
        steps: knots so far.

    Returns:
        alpha, the penalty at which to begin afresh again, and the next target.
    """
    n = len(c)
    zero = c[0] * 0
    there = not stops and targets[t] >= fresh
    penalty = targets64[t] if there else np.float64(alpha)
    exact, fitted = np.empty(s), np.empty(n)
    goal = CLOSE if there or stops else NEAR * penalty / start
    _solve_on_support(gram64, correlation64, inverse, support, sign, s, penalty, goal, exact, fitted)
    for k in range(s):
        value[k] = exact[k]
    for i in range(n):
        c[i] = correlation64[i] - fitted[i]
    if there:
        alpha = targets[t]
    fresh = alpha * FRESH if alpha > 1e-8 * start else zero
    while t < len(targets) and (stops or (there and alpha <= targets[t])):
        for k in range(s):
            theta[t, support[k]] = exact[k]
        alphas[t] = penalty if stops else targets64[t]
        knots[t] = steps
        t += 1
    return alpha, fresh, t


@njit(cache=True, nogil=True, error_model="numpy")
def _arrays_of_support(rank, dtype):
    """Room for a support of at most `rank` columns: inverse factor, support, sign, value, direction, u, work, half."""
    inverse = np.zeros((rank, rank), dtype)  # of the Cholesky factor of the Gram matrix on the support
    support = np.empty(rank, np.int64)
    sign, value, direction = np.empty(rank, dtype), np.empty(rank, dtype), np.empty(rank, dtype)
    u, work, half = np.empty(rank, dtype), np.empty(rank, dtype), np.empty(rank, dtype)
    return inverse, support, sign, value, direction, u, work, half


@njit(cache=True, nogil=True, error_model="numpy")
def _arrays_of_columns(n, dtype):
    """Room for what is known of all n columns: slope, everywhere, outside, idle, wait, minima."""
    slope, everywhere = np.empty(n, dtype), np.empty(n, dtype)
    outside, idle = np.empty(n, np.int64), np.empty(n, np.int64)
    wait = np.empty((n + BLOCK - 1) // BLOCK * BLOCK, dtype)
    wait[:] = FAR
    minima = np.empty(len(wait) // BLOCK, dtype)
    return slope, everywhere, outside, idle, wait, minima


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def _follow(gram, correlation, gram64, correlation64, targets, targets64, squares, residual, rank, flat, dependent,
            theta, alphas, knots):  # fmt: skip
    """One path, from alpha_max down; it may be given up on the way."""
    n = len(correlation)
    zero = correlation[0] * 0
    inverse, support, sign, value, direction, u, work, half = _arrays_of_support(rank, gram.dtype)
    slope, everywhere, outside, idle, wait, minima = _arrays_of_columns(n, gram.dtype)
    idles = 0  # columns that depend on those of the support and change nothing
    c = correlation.copy()  # B^T (y - B theta)
    entering = np.argmax(np.abs(c))
    alpha = abs(c[entering])
    left, left_sign = -1, zero
    s, steps, t = 0, 0, 0
    start, fresh = np.float64(alpha), alpha * FRESH
    while t < len(targets) and alpha <= targets[t]:
        alphas[t] = targets64[t]
        t += 1  # theta = 0 is the minimiser
    if squares <= residual:
        for i in range(t, len(targets)):
            alphas[i] = alpha
        return
    while t < len(targets):
        steps += 1
        if steps > 20 * rank + 2 * n + 100:
            return
        if entering >= 0:
            square = _squared_distance(gram, inverse, support, s, entering, work, half)
            if square > dependent * gram[entering, entering]:
                _enter(inverse, u, support, sign, value, direction, s, entering, c[entering] > 0, square, half)
                s += 1
            elif dependent > 1e-9:
                return  # too close to call in float32
            else:
                idle[idles] = entering
                idles += 1
        if 5 * s < 3 * n:
            combine(gram, support, s, direction, slope)
        else:
            _multiply_outside(gram, support, s, direction, sign, everywhere, outside, slope)
        _waits(c, slope, alpha, flat, wait[:n])
        _bar(support, s, wait)
        for k in range(idles):
            wait[idle[k]] = FAR
        if left >= 0:  # what has just left may come back with the other sign, but not at once with the same
            d = 1 + left_sign * slope[left]
            wait[left] = max((alpha + left_sign * c[left]) / d, zero) if d > flat else zero + FAR
        step = alpha - max(targets[t], fresh)
        step, squares, entering, leaving, stops = _next_knot(wait, minima, sign, value, direction, s, rank, alpha, step,
                                                             squares, residual)  # fmt: skip
        add(step, direction, value, s)
        add(-step, slope, c, n)
        alpha -= step
        left = -1
        if leaving >= 0:
            left, left_sign, idles = support[leaving], sign[leaving], 0
            _leave(inverse, u, support, sign, value, direction, s, leaving)
            s -= 1
        elif entering < 0:
            alpha, fresh, t = _begin_afresh(gram64, correlation64, targets, targets64, inverse, support, sign, value, s,
                                            c, alpha, fresh, start, stops, steps, t, theta, alphas, knots)  # fmt: skip


_TYPES = (
    "void({0}[:,::1], {0}[:,::1], f8[:,::1], f8[:,::1], {0}[::1], f8[::1], f8[::1], f8, i8, {0}, {0}, "
    "f8[:,:,::1], f8[:,::1], i8[:,::1])"
)


# Signatures are given so that compiling, or loading from the cache, happens at import and never inside a timed cell.
@njit([_TYPES.format("f4"), _TYPES.format("f8")], cache=True, nogil=True, error_model="numpy")
def follow_paths(gram, correlation, gram64, correlation64, targets, targets64, squares, residual, rank, flat, dependent,
                 theta, alphas, knots):  # fmt: skip
    """Follow the path of every row of `correlation`, from where theta = 0 is the minimiser down to the targets.

    Args:
        gram, correlation: B^T B, shape [n, n], and y B, shape [batch, n], in the dtype that the path is followed in.
        gram64, correlation64: the same in float64.
        targets, targets64: penalties, descending, the last may be 0; or one lower bound, where `residual` is given.
        squares: ||y||^2, shape [batch].
        residual: stop where ||y - B theta||^2 has fallen to this; negative: at the targets.
        rank: of B, at most.
        flat, dependent: what counts as zero, of a slope and of a column's squared distance from those of the support.
        theta: zeros; filled, shape [batch, targets, n].
        alphas: the penalties that the rows of theta belong to; filled, shape [batch, targets].
        knots: zeros; how often the support changed on the way; filled, shape [batch, targets]. Where it stays zero and
            theta = 0 is not the minimiser, the path was given up.
    """
    for row in range(len(correlation)):
        _follow(
            gram, correlation[row], gram64, correlation64[row], targets, targets64, squares[row], residual, rank, flat,
            dependent, theta[row], alphas[row], knots[row],
        )  # fmt: skip
