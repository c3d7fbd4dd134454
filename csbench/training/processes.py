"""Lossy measurement processes y = f_theta(x), random in theta, differentiable in x (Bora, Price, Dimakis 2018).

AmbientGAN compares real measurements with measurements of generated images, and needs no more of a process than to
draw theta and to apply f_theta. Images are float32 of shape [batch, c, h, w] in [0, 1], with a dark background.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Self, get_type_hints

import torch
from torch import Tensor
from torch.nn import functional as F

from csbench.core.errors import UsageError
from csbench.operators import LinearOperator

Shape = tuple[int, int, int]


def shape_of(x: Tensor) -> Shape:
    """(c, h, w) of images [batch, c, h, w]."""
    return (x.shape[1], x.shape[2], x.shape[3])


@dataclass(frozen=True)
class MeasurementProcess(ABC):
    """A distribution of functions f_theta. Fields are its parameters, and `name:field=value,...` is its description.

    Attributes:
        linear: whether f_theta is linear for a given theta.
        scattered: whether neighbouring pixels are seldom seen together.
    """

    name: ClassVar[str]
    linear: ClassVar[bool] = True
    scattered: ClassVar[bool] = False

    @abstractmethod
    def draw(self, batch: int, shape: Shape, rng: torch.Generator) -> Tensor:
        """theta for so many images of shape (c, h, w), on the CPU; the first axis is the batch."""

    @abstractmethod
    def measure(self, x: Tensor, theta: Tensor) -> Tensor:
        """f_theta(x) for images [batch, c, h, w] and one theta each."""

    def view(self, y: Tensor, theta: Tensor, shape: Shape) -> Tensor:
        """What a critic sees of measurements of images of this shape: y itself, unless a process says otherwise."""
        return y

    def simulate(self, x: Tensor, rng: torch.Generator) -> Tensor:
        """Measure with a fresh theta for each image; the view of it."""
        shape = shape_of(x)
        theta = self.draw(len(x), shape, rng).to(x.device)
        return self.view(self.measure(x, theta), theta, shape)

    def operator(self, theta: Tensor, shape: Shape) -> LinearOperator:
        """f_theta for one theta (without the batch axis) as a measurement operator of the benchmark.

        Raises:
            UsageError: it is not linear.
        """
        if not self.linear:
            raise UsageError(f"{self.name} is not linear for a given theta, so it is no measurement operator")
        return FixedProcess(self, theta, shape)

    @property
    def spec(self) -> str:
        """`block-pixels:p=0.95`: what `parse` reads."""
        values = ",".join(f"{f.name}={_text(getattr(self, f.name))}" for f in fields(self) if self._told(f.name))
        return f"{self.name}:{values}" if values else self.name

    @property
    def slug(self) -> str:
        """`block-pixels-p0.95`: the description in names of files and methods."""
        return "-".join(
            [self.name, *(f"{f.name}{_text(getattr(self, f.name))}" for f in fields(self) if self._told(f.name))]
        )

    def _told(self, field: str) -> bool:
        return getattr(self, field) is not False


@dataclass(frozen=True)
class BlockPixels(MeasurementProcess):
    """Each pixel is dropped (set to 0) with probability p, independently, in all channels at once.

    Attributes:
        p: in [0, 1).
        unbiased: multiply by 1 / (1 - p), so that E y = x; then y is in [0, 1 / (1 - p)] instead of [0, 1].
    """

    p: float = 0.5
    unbiased: bool = False

    name = "block-pixels"
    scattered = True

    def __post_init__(self) -> None:
        _check(0 <= self.p < 1, self, "p", "a probability below 1")

    def draw(self, batch: int, shape: Shape, rng: torch.Generator) -> Tensor:
        """1 where a pixel is seen and 0 where it is not, shape [batch, 1, h, w]."""
        return (torch.rand(batch, 1, *shape[1:], generator=rng) >= self.p).float()

    def measure(self, x: Tensor, theta: Tensor) -> Tensor:
        return x * theta / (1 - self.p) if self.unbiased else x * theta


@dataclass(frozen=True)
class ConvolveNoise(MeasurementProcess):
    """Gaussian blur, dark beyond the border, then independent Gaussian noise.

    Attributes:
        radius: standard deviation of the blur in pixels, more than 0; the kernel ends at four of them.
        sigma: standard deviation of the noise.
    """

    radius: float = 1.0
    sigma: float = 0.5

    name = "convolve-noise"
    linear = False  # affine: theta is the noise

    def __post_init__(self) -> None:
        _check(self.radius > 0, self, "radius", "more than 0")
        _check(self.sigma >= 0, self, "sigma", "0 or more")

    def draw(self, batch: int, shape: Shape, rng: torch.Generator) -> Tensor:
        """The noise, shape [batch, c, h, w]."""
        return self.sigma * torch.randn(batch, *shape, generator=rng)

    def measure(self, x: Tensor, theta: Tensor) -> Tensor:
        return self.blur(x) + theta

    def blur(self, x: Tensor) -> Tensor:
        """The blur alone, shape [batch, c, h, w]."""
        kernel = self.kernel().to(x)
        c, reach = x.shape[1], len(kernel) // 2
        x = F.conv2d(x, kernel.view(1, 1, -1, 1).expand(c, 1, -1, 1), padding=(reach, 0), groups=c)
        return F.conv2d(x, kernel.view(1, 1, 1, -1).expand(c, 1, 1, -1), padding=(0, reach), groups=c)

    def kernel(self) -> Tensor:
        """One factor of the separable kernel; it sums to 1."""
        reach = math.ceil(4 * self.radius)
        weights = torch.exp(-0.5 * (torch.arange(-reach, reach + 1, dtype=torch.float64) / self.radius) ** 2)
        return weights / weights.sum()


@dataclass(frozen=True)
class _Patch(MeasurementProcess):
    """A random square inside the image; every position is equally likely.

    Attributes:
        k: side of the square in pixels.
    """

    k: int = 14

    def __post_init__(self) -> None:
        _check(self.k >= 1, self, "k", "1 or more")

    def draw(self, batch: int, shape: Shape, rng: torch.Generator) -> Tensor:
        """Row and column of the square's first pixel, shape [batch, 2]."""
        _check(self.k <= min(shape[1:]), self, "k", f"at most {min(shape[1:])}, the side of the images")
        rows = torch.randint(shape[1] - self.k + 1, (batch, 1), generator=rng)
        return torch.cat([rows, torch.randint(shape[2] - self.k + 1, (batch, 1), generator=rng)], 1)

    def inside(self, theta: Tensor, shape: Shape) -> Tensor:
        """1 in the square and 0 elsewhere, shape [batch, 1, h, w]."""
        rows, columns = (
            torch.arange(side, device=theta.device) - at for side, at in zip(shape[1:], theta.split(1, 1), strict=True)
        )
        rows, columns = ((offset >= 0) & (offset < self.k) for offset in (rows, columns))
        return (rows[:, None, :, None] & columns[:, None, None, :]).float()


@dataclass(frozen=True)
class BlockPatch(_Patch):
    """A random k x k square is hidden (set to 0)."""

    name = "block-patch"

    def measure(self, x: Tensor, theta: Tensor) -> Tensor:
        return x * (1 - self.inside(theta, shape_of(x)))


@dataclass(frozen=True)
class KeepPatch(_Patch):
    """Only a random k x k square is seen, in its place; all else is 0."""

    name = "keep-patch"

    def measure(self, x: Tensor, theta: Tensor) -> Tensor:
        return x * self.inside(theta, shape_of(x))


@dataclass(frozen=True)
class ExtractPatch(_Patch):
    """Only a random k x k square is seen, and not where it was: y has shape [batch, c, k, k]."""

    name = "extract-patch"

    def measure(self, x: Tensor, theta: Tensor) -> Tensor:
        patches = x.unfold(2, self.k, 1).unfold(3, self.k, 1)  # a view, [batch, c, offsets, offsets, k, k]
        return patches[torch.arange(len(x), device=x.device), :, theta[:, 0], theta[:, 1]]


@dataclass(frozen=True)
class PadRotateProject(MeasurementProcess):
    """Pad to the length of the diagonal, rotate by a random angle, sum over rows: a 1-D projection, [batch, c, d].

    The rotation interpolates bilinearly. d is even, and at least the diagonal of the image.
    """

    name = "pad-rotate-project"

    def draw(self, batch: int, shape: Shape, rng: torch.Generator) -> Tensor:
        """Angles in [0, 2 pi), shape [batch]."""
        return 2 * math.pi * torch.rand(batch, generator=rng)

    def measure(self, x: Tensor, theta: Tensor) -> Tensor:
        d = self.detectors(shape_of(x))
        cos, sin, zero = theta.cos().to(x), theta.sin().to(x), torch.zeros_like(theta).to(x)
        turn = torch.stack([torch.stack([cos, -sin, zero], 1), torch.stack([sin, cos, zero], 1)], 1)
        spare = [d - x.shape[3], d - x.shape[2]]
        padded = F.pad(x, [spare[0] // 2, spare[0] - spare[0] // 2, spare[1] // 2, spare[1] - spare[1] // 2])
        grid = F.affine_grid(turn, list(padded.shape), align_corners=False)
        return F.grid_sample(padded, grid, align_corners=False).sum(2)

    @staticmethod
    def detectors(shape: Shape) -> int:
        """d, the length of a projection."""
        return 2 * math.ceil(math.hypot(*shape[1:]) / 2)


@dataclass(frozen=True)
class PadRotateProjectTheta(PadRotateProject):
    """`pad-rotate-project` that also reports the angle: the critic sees the projection smeared back along its rays."""

    name = "pad-rotate-project-theta"

    def view(self, y: Tensor, theta: Tensor, shape: Shape) -> Tensor:
        """The back-projection A_theta^T y / d, shape [batch, c, h, w]: it tells the angle and all of y in the image."""
        c, h, w = shape
        d = y.shape[2]
        across = (torch.arange(w, device=y.device) - (w - 1) / 2)[None, None, :]
        down = (torch.arange(h, device=y.device) - (h - 1) / 2)[None, :, None]
        cos, sin = theta.cos()[:, None, None], theta.sin()[:, None, None]
        at = across * cos + down * sin + (d - 1) / 2  # the detector of each pixel, [batch, h, w]
        low = at.floor().clamp(0, d - 2).long().flatten(1)[:, None].expand(-1, c, -1)
        share = (at.flatten(1)[:, None] - low).clamp(0, 1)
        smeared = (1 - share) * y.gather(2, low) + share * y.gather(2, low + 1)
        return smeared.reshape(-1, c, h, w) / d


@dataclass(frozen=True)
class GaussianProjection(MeasurementProcess):
    """(A, A x) with a fresh m x n matrix A of independent entries N(0, 1/m) for each image; A^T A x is seen.

    Attributes:
        m: measurements of each image.
    """

    m: int = 200

    name = "gaussian-projection"

    def __post_init__(self) -> None:
        _check(self.m >= 1, self, "m", "1 or more")

    def draw(self, batch: int, shape: Shape, rng: torch.Generator) -> Tensor:
        """A, shape [batch, m, n]."""
        return torch.randn(batch, self.m, math.prod(shape), generator=rng) / math.sqrt(self.m)

    def measure(self, x: Tensor, theta: Tensor) -> Tensor:
        """Shape [batch, m]."""
        return torch.einsum("bmn,bn->bm", theta, x.flatten(1))

    def view(self, y: Tensor, theta: Tensor, shape: Shape) -> Tensor:
        """A^T y, shape [batch, c, h, w]."""
        return torch.einsum("bmn,bm->bn", theta, y).view(-1, *shape)

    def simulate(self, x: Tensor, rng: torch.Generator) -> Tensor:
        """A^T A x for fresh A without drawing A: n + m random numbers for an image instead of m n.

        Exact: y = A x is N(0, ||x||^2 / m) in each of m entries, and given y the rows of A^T y that are orthogonal to
        x are A's entries there, independent of y. So A^T A x = c x + sqrt(c / m) ||x|| P g with m c ~ chi^2_m,
        g ~ N(0, I_n) and P the projection on the complement of x.
        """
        c = torch.randn(len(x), self.m, generator=rng).square().mean(1, keepdim=True).to(x.device)
        g = torch.randn(x.flatten(1).shape, generator=rng).to(x.device)
        flat = x.flatten(1)
        square = flat.square().sum(1, keepdim=True).clamp_min(1e-12)
        across = g - flat * (flat * g).sum(1, keepdim=True) / square
        return (c * flat + (c * square / self.m).sqrt() * across).view_as(x)


class FixedProcess(LinearOperator):
    """A linear process with theta fixed, as a measurement operator R^n -> R^m; the adjoint is autograd's.

    Args:
        process: linear for a given theta.
        theta: one, without the batch axis.
        image_shape: (c, h, w).
    """

    def __init__(
        self, process: MeasurementProcess, theta: Tensor, image_shape: Shape, dtype: torch.dtype = torch.float32
    ):
        self.process, self.theta, self.image_shape = process, theta, image_shape
        n = math.prod(image_shape)
        example = process.measure(torch.zeros(1, *image_shape, device=theta.device), theta[None])
        super().__init__(example.numel(), n, dtype, theta.device)

    def to(self, dtype: torch.dtype | None = None, device: torch.device | str | None = None) -> Self:
        return type(self)(self.process, self.theta.to(device or self.device), self.image_shape, dtype or self.dtype)

    def _apply(self, x: Tensor) -> Tensor:
        images = x.reshape(-1, *self.image_shape)
        theta = self.theta.expand(len(images), *self.theta.shape)
        if theta.is_floating_point():
            theta = theta.to(self.dtype)
        return self.process.measure(images, theta).reshape(*x.shape[:-1], self.shape[0])

    def _adjoint(self, y: Tensor) -> Tensor:
        start = y.new_zeros(*y.shape[:-1], self.shape[1])
        return torch.func.vjp(self._apply, start)[1](y)[0]


PROCESSES: dict[str, type[MeasurementProcess]] = {
    process.name: process
    for process in (
        BlockPixels,
        ConvolveNoise,
        BlockPatch,
        KeepPatch,
        ExtractPatch,
        PadRotateProject,
        PadRotateProjectTheta,
        GaussianProjection,
    )
}


def parse(spec: str) -> MeasurementProcess:
    """The process that `NAME` or `NAME:FIELD=VALUE,...` describes.

    >>> parse("block-pixels:p=0.95").slug
    'block-pixels-p0.95'

    Raises:
        UsageError: there is no such process or field, or the value is not of the field's kind.
    """
    name, _, rest = spec.partition(":")
    if name not in PROCESSES:
        raise UsageError(f"no measurement process is called {name!r}; there is {', '.join(PROCESSES)}")
    hints = get_type_hints(PROCESSES[name])
    kinds = {field.name: hints[field.name] for field in fields(PROCESSES[name])}
    values: dict[str, Any] = {}
    for part in filter(None, rest.split(",")):
        key, _, text = part.partition("=")
        if key not in kinds:
            known = ", ".join(kinds) or "none"
            raise UsageError(f"--measurement {spec}: {name} has no field {key!r}; its fields: {known}")
        values[key] = _value(kinds[key], text, f"--measurement {spec}: field {key}")
    return PROCESSES[name](**values)


def _value(kind: type, text: str, where: str) -> bool | int | float:
    if kind is bool:
        if text not in ("true", "false"):
            raise UsageError(f"{where} must be true or false, got {text!r}")
        return text == "true"
    try:
        return kind(text)
    except ValueError:
        raise UsageError(f"{where} must be {'an integer' if kind is int else 'a number'}, got {text!r}") from None


def _text(value: bool | int | float) -> str:
    return str(value).lower() if isinstance(value, bool) else f"{value:g}"


def _check(holds: bool, process: MeasurementProcess, field: str, must: str) -> None:
    if not holds:
        raise UsageError(f"{process.name}: field {field} must be {must}, got {getattr(process, field)}")
