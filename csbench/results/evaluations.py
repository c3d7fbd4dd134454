"""How often methods apply A or A^T, which `csbench count` counts."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Evaluations:
    """Applications of A or of A^T to one vector; a gradient through A is one of A^T.

    Attributes:
        takes_matrix: the method asks for the matrix of A; what it does with that is not seen, and the others are NaN.
        once: for the operator, whatever the number of images.
        per_image: for each image besides.
    """

    takes_matrix: bool
    once: float
    per_image: float
