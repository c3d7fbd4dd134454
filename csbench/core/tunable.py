"""Methods with a hyper-parameter that `csbench tune` chooses from a grid."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar, Self

from csbench.core.method import Method
from csbench.core.tuned import key, table


class GridMethod(Method):
    """A method with one field that `csbench tune` chooses on validation images, running once for each value.

    Where the field is None, `bind` takes what was chosen for this dataset, operator family and noise; the method has to
    have a rule of its own where nothing was.

    Attributes:
        tunes: name of the field.
        grid: its values, increasing.
    """

    tunes: ClassVar[str]
    grid: ClassVar[tuple[float, ...]]

    def bind(self, dataset: str, operator: str, noise_norm: float) -> Self:
        bound = super().bind(dataset, operator, noise_norm)
        entry = table().get(key(self.name, dataset, operator, noise_norm))
        if entry is None or getattr(self, self.tunes) is not None:
            return bound
        return replace(bound, **{self.tunes: entry[self.tunes]})  # type: ignore[type-var]
