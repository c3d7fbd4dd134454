"""From the name of a prior and a dataset to weights and card: what `csbench train` does."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch

from csbench import __version__
from csbench.dataset import Dataset
from csbench.errors import UsageError
from csbench.priors import checkpoint, pca, vae

FAMILIES = ("vae", "pca", "mean")
PCA_COMPONENTS = 1000  # or all, where images have fewer pixels


@dataclass(frozen=True)
class TrainingJob:
    """One training: what, on which data, where to, and for how long.

    Attributes:
        epochs: instead of the recipe's.
        minutes: stop after the epoch in which this time runs out; `resume` goes on from there.
    """

    family: str
    dataset: Dataset
    folder: Path
    device: str = "cpu"
    epochs: int | None = None
    minutes: float | None = None
    resume: bool = False

    @property
    def name(self) -> str:
        return f"{self.family}-{self.dataset.name}"

    def command(self) -> str:
        """What makes these weights again on one machine."""
        options = f" --epochs {self.epochs}" if self.epochs else ""
        return f"csbench train {self.family} --dataset {self.dataset.name}{options}"

    def recipe(self) -> vae.VAERecipe:
        return replace(vae.VAERecipe(), epochs=self.epochs) if self.epochs else vae.VAERecipe()


def train(job: TrainingJob, report: Callable[[vae.Progress], None] = lambda progress: None) -> Path | None:
    """Train, and write weights and card.

    Returns:
        the weights file, or None where the time ran out first and only the checkpoint was written.
    """
    if job.family not in FAMILIES:
        raise UsageError(f"no prior is called {job.family!r}; there is {', '.join(FAMILIES)}")
    images = job.dataset.training_images()
    x = images.signals().to(job.device)
    card = {
        "family": job.family,
        "dataset": job.dataset.name,
        "split": f"all {len(images)} training images",
        "measurements": "none: trained on clean images",
        "licence": f"weights: MIT; training images: {job.dataset.licence}",
        "hardware": checkpoint.hardware(x.device),
        "versions": {"csbench": __version__, "torch": torch.__version__},
        "command": job.command(),
    }
    if job.family == "mean":
        mean = x.double().mean(0)
        validation = job.dataset.images("validation").signals(torch.float64)
        card |= {"quality": {"validation_mse": round((validation - mean.cpu()).square().mean().item(), 6)}}
        return checkpoint.save(job.folder, job.name, {"mean": mean.float()}, card)
    if job.family == "pca":
        return _fit_pca(job, x, card)
    return _train_vae(job, x, card, report)


def _fit_pca(job: TrainingJob, x: torch.Tensor, card: dict) -> Path:
    prior = pca.fit(x.cpu(), min(PCA_COMPONENTS, x.shape[1]))
    tensors = {
        "mean": prior.mean.float(),
        "components": prior.components.half(),  # half the size; errors are the same to four digits
        "variances": prior.variances.float(),
        "residual": torch.tensor(prior.residual),
    }
    rest = prior.residual * (x.shape[1] - len(prior.variances))
    explained = 1 - rest / (prior.variances.sum().item() + rest)
    card |= {"quality": {"components": len(prior.variances), "variance_explained": round(explained, 6)}}
    return checkpoint.save(job.folder, job.name, tensors, card)


def _train_vae(job: TrainingJob, x: torch.Tensor, card: dict, report: Callable[[vae.Progress], None]) -> Path | None:
    recipe = job.recipe()
    state = job.folder / f"{job.name}.checkpoint.safetensors"
    started = time.monotonic()

    def go_on(progress: vae.Progress) -> bool:
        report(progress)
        return job.minutes is None or time.monotonic() - started < 60 * job.minutes

    trained = vae.train(x, recipe, state, job.resume, go_on)
    if trained.epochs < recipe.epochs:
        return None
    model = trained.model.cpu().eval()
    n = x.shape[1]
    card |= {
        "architecture": recipe.architecture | {"n": n},
        "recipe": asdict(recipe),
        "steps": trained.epochs * -(-len(x) // recipe.batch_size),
        "seconds": round(trained.seconds, 1),
        "quality": vae.quality(model, job.dataset.images("validation").signals()),
    }
    path = checkpoint.save(job.folder, job.name, model.decoder.state_dict(), card)
    state.unlink(missing_ok=True)
    return path
