"""Whether a method does worse on images that it cannot have seen: what it remembers of test images shows so.

In the second run of a cell, rows of the batch are measurements of other images of the same kind, by the same operator.
Images differ in how hard they are, so what is compared is the error of the method beside the errors of other methods on
the same images: those of the family "baseline", which cost next to nothing, and the black image.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.stats import permutation_test
from torch import Tensor
from torch.nn.functional import pad

from csbench.catalogue.registry import entries, get_dataset
from csbench.core.dataset import Images
from csbench.core.measurement import Measurement
from csbench.core.seeding import stream
from csbench.runner.problem import SIMULATED_ROWS, Problem, Truth
from csbench.studies.checks import Check

LEVEL = 0.001  # of the permutation test: of so many honest methods one is suspected
WORSE = {False: 1.2, True: 2.0}  # factor beyond which it counts; shifted images are a little strange to learned methods
LEAST = 1e-8  # mean squared error; below it one is as good as another
RESAMPLES = 9999
DIRECTIONS = ((0, 1), (1, 0), (2, 1), (1, 2))  # corners of what is cut out of an image with a margin of one pixel


@dataclass(frozen=True)
class Mixed(Problem):
    """A problem some of whose rows are others: as they are, then on rounded measurements, then of fresh images.

    Attributes:
        same, rounded, fresh: how many rows; those that stay keep their places in the batch.
        rounding: relative standard deviation by which entries of rounded rows change.
        seed: of what is random here.
    """

    same: int = 0
    rounded: int = 0
    fresh: int = 0
    rounding: float = 0.0
    seed: int = 0

    def simulate(self) -> tuple[Measurement, Truth]:
        """Fresh images have negative ids, which `is_shifted` can read."""
        given, truth = super().simulate()
        kept = self.same + self.rounded
        change = torch.randn(self.rounded, given.m, generator=stream("rounded", self.seed))
        rounded = given.y[self.same : kept] * (1 + self.rounding * change)
        x, ids = fresh_images(self.dataset, self.images, self.seed)
        x, ids = x[: self.fresh], ids[: self.fresh]
        exact = torch.empty(len(x), given.m, dtype=torch.float64)
        for rows, part in given.A.row_blocks(SIMULATED_ROWS):
            exact[:, rows] = part.to(torch.float64)(x.double())
        noise = torch.randn(exact.shape, generator=stream("fresh noise", self.seed), dtype=torch.float64)
        fresh = (exact + given.noise_std * noise).float()
        measured = Measurement(
            given.A, torch.cat([given.y[: self.same], rounded, fresh]), given.noise_std, given.image_shape
        )
        return measured, Truth(torch.cat([truth.x[:kept], x]), np.concatenate([truth.ids[:kept], ids]))


def is_shifted(image: int) -> bool:
    """Whether a fresh image, by its id, has been moved by one pixel."""
    return image % 2 == 0


def fresh_images(dataset: str, taken: int, seed: int) -> tuple[Tensor, np.ndarray]:
    """Images of the same kind as the test images, in a random order; every second is moved by one pixel.

    They are of the validation split. Where its labels are wholly other ones, as those of patches of other photographs,
    or there are too few, they are test images that the suite does not score, and without these the scored ones
    themselves, all of them moved.

    Args:
        taken: how many of the test split the suite scores.

    Returns:
        shape [batch, n], and negative ids.
    """
    source = get_dataset(dataset)
    test, others = source.images("test"), source.images("validation")
    for pool in (others, test[taken:]):
        if len(pool) >= taken and _alike(pool, test[:taken]):
            chosen = torch.randperm(len(pool), generator=stream("fresh", seed))
            ids = -1 - np.arange(len(pool))
            return _moved(pool.signals()[chosen], ids, source.image_shape, seed), ids
    ids = -2 - 2 * np.arange(taken)
    return _moved(test[:taken].signals(), ids, source.image_shape, seed), ids


def _alike(pool: Images, scored: Images) -> bool:
    """Whether their labels are of the same classes, or say nothing."""
    return bool(set(pool.labels.tolist()) & set(scored.labels.tolist()))


def _moved(x: Tensor, ids: np.ndarray, image_shape: tuple[int, int, int], seed: int) -> Tensor:
    """The images, those that are to be shifted by one pixel up, down, left or right; edges are repeated."""
    _, h, w = image_shape
    wide = pad(x.reshape(len(x), *image_shape), (1, 1, 1, 1), mode="replicate")
    towards = torch.randint(len(DIRECTIONS), (len(x),), generator=stream("shift", seed)).tolist()
    corners = [
        DIRECTIONS[way] if is_shifted(image) else (1, 1) for image, way in zip(ids.tolist(), towards, strict=True)
    ]
    moved = [one[:, top : top + h, left : left + w] for one, (top, left) in zip(wide, corners, strict=True)]
    return torch.stack(moved).reshape(len(x), -1)


def panel(method: str) -> list[str]:
    """Names of the methods that say how hard images are."""
    known = entries("methods").values()
    return [one.name for one in known if one.facts.get("family") == "baseline" and one.name != method]


def hardness(truth: Truth, errors: Sequence[Sequence[float]]) -> dict[int, float]:
    """For each image the mean logarithm of the error that others make on it, the black image among them.

    Args:
        errors: of each method of the panel, mean squared errors of the images.
    """
    black = truth.x.double().square().mean(1).tolist()
    logs = np.mean([logarithm(one) for one in (black, *errors)], axis=0)
    return dict(zip(truth.ids.tolist(), logs.tolist(), strict=True))


def logarithm(errors: Sequence[float]) -> np.ndarray:
    """Of mean squared errors; what is below `LEAST`, as where an image is given back exactly, counts as that."""
    return np.log(np.maximum(np.asarray(errors, dtype=float), LEAST))


def leaning(scores: Mapping[int, Sequence[float]], seed: int) -> Iterator[Check]:
    """Compare fresh images with the test images, by a permutation test over images.

    Args:
        scores: for each image, by id, the logarithms of the method's error beside those of others, one for each cell.
    """
    means = {image: float(np.mean(values)) for image, values in scores.items()}
    tested = [value for image, value in means.items() if image >= 0]
    for shifted, what in ((False, "images that it cannot have seen"), (True, "images moved by one pixel")):
        fresh = [value for image, value in means.items() if image < 0 and is_shifted(image) == shifted]
        if fresh and tested:
            yield _compared(what, np.array(tested), np.array(fresh), WORSE[shifted], seed)


def _compared(what: str, tested: np.ndarray, fresh: np.ndarray, worse: float, seed: int) -> Check:
    found = permutation_test(
        (fresh, tested), lambda a, b, axis: a.mean(axis) - b.mean(axis), vectorized=True, n_resamples=RESAMPLES,
        alternative="greater", rng=np.random.default_rng(seed),
    )  # fmt: skip
    factor, p = float(np.exp(found.statistic)), float(found.pvalue)
    told = f"{len(fresh)} {what}: errors beside those of other methods are {factor:.3g} times those on test images"
    if p <= LEVEL and factor > worse:
        return Check(
            f"{told}, p = {p:.2g}",
            "the result leans on the test images: on others of the same kind the method is worse, at the level "
            f"{LEVEL:g} and by more than the factor {worse:g}",
        )
    return Check(f"{told}, p = {p:.2g}")
