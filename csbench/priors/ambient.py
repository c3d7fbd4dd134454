"""AmbientGAN (Bora, Price, Dimakis, ICLR 2018): a generator learned from lossy measurements alone, and two baselines.

The critic compares real measurements y_i = f_theta_i(x_i) with measurements f_theta(G(z)) of generated images, theta
fresh. `simulate` is the only place here that reads clean images, and it hands out measurements; trainings get those.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from csbench.dataset import Dataset
from csbench.priors.processes import MeasurementProcess, Shape
from csbench.priors.unmeasure import restore
from csbench.seeding import stream

BATCH = 50  # images that are measured at a time; a batch of Gaussian matrices takes 31 MB

Use = Literal["ambient", "ignore", "unmeasure"]


@dataclass(frozen=True, eq=False)
class MeasuredData:
    """Measurements of a training set, as if they were all that existed: one theta for each image, drawn once.

    Attributes:
        y: what a critic sees of each image, float32, [images, ...].
        restored: an estimate of each image from y and theta, [images, c, h, w]; None unless asked for.
        image_shape: (c, h, w) of the images that were measured.
    """

    process: MeasurementProcess
    y: Tensor
    restored: Tensor | None
    image_shape: Shape


def simulate(
    dataset: Dataset,
    process: MeasurementProcess,
    seed: int = 0,
    *,
    restored: bool = False,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> MeasuredData:
    """Measure every training image of a dataset once.

    Args:
        seed: of theta, beside the names of dataset and process.
        restored: also restore the images, for the baseline `unmeasure`.
        report: called with the images done and in all.

    Raises:
        UsageError: the process does not fit the images, or no restoration is known for it.
    """
    pixels = torch.tensor(dataset.training_images().pixels)
    shape = dataset.image_shape
    rng = stream("measured", dataset.name, process.spec, seed)
    seen, estimates = [], []
    for part in pixels.split(BATCH):
        theta = process.draw(len(part), shape, rng)
        y = process.measure(part.float() / 255, theta)
        seen.append(process.view(y, theta, shape))
        if restored:
            estimates.append(restore(process, y, theta))
        report(BATCH * len(seen), len(pixels))
    return MeasuredData(process, torch.cat(seen), torch.cat(estimates) if restored else None, shape)


@dataclass(frozen=True, eq=False)
class MeasuredExamples:
    """What the critic of a GAN sees of measured data; see `csbench.priors.gan.Examples`.

    `ambient` measures generated images, each with a fresh theta. `ignore` takes the measurements for images, and
    `unmeasure` the restored ones: generated images go to the critic as they are.

    The critic's input is divided by the root mean square of the real one: a spectrally normalised critic cannot scale
    its input itself, and starves where few pixels are seen.

    Attributes:
        real_inputs: scaled, [images, ...], on the device of the training.
        scale: that all inputs of the critic are multiplied with.
        process: None where generated images are not measured.
    """

    real_inputs: Tensor
    scale: float
    process: MeasurementProcess | None
    image_shape: Shape

    @classmethod
    def of(cls, data: MeasuredData, use: Use, device: str = "cpu") -> MeasuredExamples:
        """The examples for AmbientGAN or a baseline.

        Raises:
            UsageError: measurements are no images of the size that the generator makes.
        """
        real = data.y
        if use == "unmeasure":
            assert data.restored is not None
            real = data.restored
        scale = 1 / real.square().mean().sqrt().item()
        process = data.process if use == "ambient" else None
        return cls((scale * real).to(device), scale, process, data.image_shape)

    @property
    def device(self) -> torch.device:
        return self.real_inputs.device

    def real(self, size: int, rng: torch.Generator) -> Tensor:
        rows = torch.randint(len(self.real_inputs), (size,), generator=rng)
        return self.real_inputs[rows.to(self.device)]

    def seen(self, x: Tensor, rng: torch.Generator) -> Tensor:
        return self.scale * (x if self.process is None else self.process.simulate(x, rng))
