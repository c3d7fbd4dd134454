"""Operators that look at an image as an image, and so need its shape."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, Self

import torch

from csbench.core.errors import UsageError
from csbench.operators.free import MatrixFree

Shape = tuple[int, int, int]


class ImageOperator(MatrixFree):
    """A linear map of images of shape (c, h, w), flattened row by row; every channel is measured alike.

    A subclass says which m there are, in `attainable`, and makes an operator in `draw_for`. Keyword-only arguments of
    `draw_for` that are numbers with a default are the family's parameters: a suite may set them, as in
    `operator = "gaussian-blur:sigma=2"`.

    Attributes:
        image_shape: (c, h, w).
    """

    def __init__(self, m: int, image_shape: Shape):
        super().__init__(m, math.prod(image_shape))
        self.image_shape = image_shape

    @classmethod
    def draw(cls, m: int, n: int, rng: torch.Generator) -> Self:
        raise UsageError(f"{cls.__name__} needs the image's shape: {cls.__name__}.draw_for({m}, (c, h, w), rng)")

    @classmethod
    @abstractmethod
    def draw_for(cls, m: int, image_shape: Shape, rng: torch.Generator, **parameters: Any) -> Self:
        """An operator of this family with m rows, float32.

        Raises:
            UsageError: there is none with m rows for such images (the message names the nearest m), or a parameter is
                out of range.
        """

    @classmethod
    @abstractmethod
    def attainable(cls, image_shape: Shape) -> Mapping[int, Any]:
        """Every m that there is for such images, with what makes it: the side of a block, the number of lines."""

    @classmethod
    def setting(cls, m: int, image_shape: Shape) -> Any:
        """What makes this m.

        Raises:
            UsageError: nothing does; the message names the nearest m.
        """
        attainable = cls.attainable(image_shape)
        if not attainable:
            raise UsageError(f"{cls.name}: images of shape {image_shape} are too small (m = {cls.rows})")
        if m not in attainable:
            nearest = min(attainable, key=lambda other: abs(other - m))
            raise UsageError(
                f"{cls.name} has no m = {m} for images of shape {image_shape}; the nearest is m = {nearest} "
                f"(m = {cls.rows})"
            )
        return attainable[m]

    @classmethod
    def require(cls, holds: bool, parameter: str, must: str, value: float) -> None:
        """Refuse a parameter that is out of range."""
        if not holds:
            raise UsageError(f"{cls.name}: {parameter} must be {must}, got {value:g}")
