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

from csbench.core.dataset import Dataset
from csbench.core.errors import UsageError
from csbench.core.seeding import stream
from csbench.core.sound import sound_images
from csbench.training.batches import as_floats
from csbench.training.processes import MeasurementProcess, Shape
from csbench.training.unmeasure import restore

BATCH = 50  # images that are measured at a time; a batch of Gaussian matrices takes 31 MB

Use = Literal["ambient", "ignore", "unmeasure"]


def simulate(
    dataset: Dataset,
    process: MeasurementProcess,
    use: Use,
    seed: int = 0,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> Tensor:
    """Measure every training image of a dataset once, as if these measurements were all that existed.

    Args:
        seed: of theta, beside the names of dataset and process.
        report: called with the images done and in all.

    Returns:
        float32, [images, ...]: the view of the process for `ambient`, y cut to [0, 1] for `ignore`, and restored images
        for `unmeasure`.

    Raises:
        UsageError: the process does not fit the images or the use.
    """
    shape = dataset.image_shape
    rng = stream("measured", dataset.name, process.spec, seed)
    pixels = torch.tensor(sound_images(dataset, "training").pixels)
    measured = torch.empty(0)
    for start in range(0, len(pixels), BATCH):
        x = as_floats(pixels[start : start + BATCH])
        theta = process.draw(len(x), shape, rng)
        part = _seen_of(process, use, process.measure(x, theta), theta, shape)
        if start == 0:  # all at once, for small pieces that are kept among large temporaries waste memory
            measured = part.new_empty(len(pixels), *part.shape[1:])
        measured[start : start + BATCH] = part
        report(min(start + BATCH, len(pixels)), len(pixels))
    return measured


def _seen_of(process: MeasurementProcess, use: Use, y: Tensor, theta: Tensor, shape: Shape) -> Tensor:
    match use:
        case "ambient":
            return process.view(y, theta, shape)
        case "ignore":
            if y.shape[1:] != shape:
                raise UsageError(
                    f"ignore takes measurements for images, and those of {process.name} have shape {tuple(y.shape[1:])}"
                )
            return y.clamp(0, 1)  # as a file of images would hold them; a generator cannot leave this range
        case "unmeasure":
            return restore(process, y, theta)


@dataclass(frozen=True, eq=False)
class MeasuredExamples:
    """What the critic of a GAN sees of measured data; see `csbench.training.gan.Examples`.

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
    def of(
        cls, measured: Tensor, process: MeasurementProcess, use: Use, image_shape: Shape, device: str = "cpu"
    ) -> MeasuredExamples:
        """The examples for AmbientGAN or a baseline, from what `simulate` returns."""
        scale = 1 / measured.square().mean().sqrt().item()
        return cls((scale * measured).to(device), scale, process if use == "ambient" else None, image_shape)

    @property
    def device(self) -> torch.device:
        return self.real_inputs.device

    def real(self, size: int, rng: torch.Generator) -> Tensor:
        rows = torch.randint(len(self.real_inputs), (size,), generator=rng)
        return self.real_inputs[rows.to(self.device)]

    def seen(self, x: Tensor, rng: torch.Generator) -> Tensor:
        return self.scale * (x if self.process is None else self.process.simulate(x, rng))
