"""What a recovery method is: a frozen dataclass with one verb."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from csbench.core.errors import CsbenchError
from csbench.core.measurement import Measurement
from csbench.core.names import kebab


class NotApplicable(CsbenchError):
    """Raised by a method that does not serve this kind of problem; recorded as such, and no failure."""


class MissingPackages(NotApplicable):
    """Raised where a method needs packages that are not installed; with them it may well be applicable."""


@dataclass(frozen=True)
class Recovery:
    """What a method returns where it has more to say than x_hat.

    Attributes:
        x_hat: shape [batch, n], of y's dtype.
        diagnostics: name to a tensor of shape [batch], such as iterations, objective, residual, duality_gap.
            `converged`, 0 or 1, is special: rows where it is 0 are flagged on the leaderboard.
    """

    x_hat: Float[Tensor, "batch n"]
    diagnostics: Mapping[str, Shaped[Tensor, " batch"]] = field(default_factory=dict)


class Method(ABC):
    """Base class of the plug-ins in `methods/`: a frozen dataclass whose typed fields are the hyper-parameters.

    A string field may hold `{dataset}`; the harness fills in the name of the dataset before the run, which is how a
    method finds the prior that was trained for it.

    The attributes below are facts about a method, the same for all its hyper-parameters. They are read from the source,
    so a subclass gives them as literals: `family: ClassVar[str] = "sparse"`.

    Attributes:
        name: as it is registered; by default the class name in kebab case.
        family: the kind of method that pages show it among: sparse, untrained, learned, generative, ambient-trained or
            baseline; empty where that is left to what its prior was learned from.
        oracle: whether it knows more than a method may, such as the sparsity or the support of the truth.
        reference: whether scores are measured against it, as against the Lassos.
        requires: packages that it needs besides csbench's own, as `pip install` names them. Where one is missing the
            method is not applicable.
        learned_from: what its prior was learned from; None where it has no prior, or where the prior's name tells.
        confined_to_range: whether x_hat is always G(z), for the generator G that the field `prior` names.
        on_request: whether suites run it only where it is named, as what takes long or needs further packages.
    """

    name: ClassVar[str]
    family: ClassVar[str] = ""
    oracle: ClassVar[bool] = False
    reference: ClassVar[bool] = False
    requires: ClassVar[tuple[str, ...]] = ()
    learned_from: ClassVar[str | None] = None
    confined_to_range: ClassVar[bool] = False
    on_request: ClassVar[bool] = False

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "name" not in cls.__dict__:
            cls.name = kebab(cls.__name__)

    @abstractmethod
    def recover(self, given: Measurement, rng: torch.Generator) -> Float[Tensor, "batch n"] | Recovery:
        """x_hat, shape [batch, n], in the dtype and on the device of `given.y`.

        Args:
            given: operator, measurements, noise level and image shape; everything that may be used.
            rng: a CPU generator for all randomness of the method.

        Raises:
            NotApplicable: the method does not serve this kind of problem.
        """

    def bind(self, dataset: str, operator: str, noise_norm: float) -> Self:
        """The method as it runs on a suite: what depends on the kind of problem, and not on y, is filled in here.

        By default `{dataset}` in string fields is replaced. A method with tuned hyper-parameters overrides this and
        looks them up, so that the stored parameters are those that were used.

        Args:
            dataset, operator: registered names.
            noise_norm: sqrt(E||noise||^2).
        """
        changes = {
            f.name: value.replace("{dataset}", dataset)
            for f in fields(self)  # type: ignore[arg-type]
            if isinstance(value := getattr(self, f.name), str) and "{dataset}" in value
        }
        return replace(self, **changes) if changes else self  # type: ignore[type-var]

    def data_files(self) -> tuple[Path, ...]:
        """Files besides code that the result depends on, such as weights; they go into the hash `made_by`."""
        return ()

    def params(self) -> dict[str, Any]:
        """Hyper-parameters by name."""
        return {f.name: getattr(self, f.name) for f in fields(self)}  # type: ignore[arg-type]


def unmet_requirements(method: Method) -> str:
    """Which packages a method needs that are not installed, and how to install them; empty where all are there."""
    missing = []
    for package in method.requires:
        try:
            version(package)
        except PackageNotFoundError:
            missing.append(package)
    return f"{method.name} needs {', '.join(missing)}: pip install {' '.join(missing)}" if missing else ""


def check_requirements(method: Method) -> None:
    """See to it that the packages are there that a method needs.

    Raises:
        MissingPackages: some are not; says how to install them.
    """
    if missing := unmet_requirements(method):
        raise MissingPackages(missing)


class PathMethod(Method):
    """A method with one penalty, a field `alpha`, that solves for many penalties at the cost of the smallest.

    `csbench tune` chooses the penalty of such methods on validation images.
    """

    @abstractmethod
    def recover_path(self, given: Measurement, alphas: list[float]) -> list[Recovery]:
        """What `recover` would return for each of the penalties."""
