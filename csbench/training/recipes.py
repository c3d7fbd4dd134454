"""From the name of a prior and a dataset to weights and card: what `csbench train` does."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from csbench import __version__
from csbench.core.dataset import Dataset, Images
from csbench.core.errors import UnknownName, UsageError
from csbench.core.pictures import tile, write_png
from csbench.core.seeding import stream
from csbench.core.sound import sound_images
from csbench.priors import checkpoint
from csbench.priors.generator import ReLUGenerator
from csbench.priors.precision import fast_bf16
from csbench.solvers.latent.projection import misfit
from csbench.training import classifier, gan, mixture, pca, processes, vae
from csbench.training.checkpoints import Progress
from csbench.training.measured_examples import MeasuredExamples, Use, simulate

PCA_COMPONENTS = 1000  # or all, where images have fewer pixels
SECONDS_PER_GRID = 60
VALIDATION_IMAGES = 32  # whose representation error goes onto the card of a GAN, for recovery to use


@dataclass(frozen=True)
class TrainingJob:
    """One training: what, on which data, where to, and for how long.

    Attributes:
        epochs, steps: instead of the recipe's; VAEs count epochs and GANs count steps.
        measurement: what `csbench.training.processes.parse` reads; for families that learn from measurements.
        gan: "sngan", spectral normalisation and the hinge loss, or "wgan-gp"; for those families.
        seed: of the networks, and of theta where there is a measurement.
        minutes: stop when this time runs out; `resume` goes on from there.
        bf16: networks of convolutions in bfloat16; None: where the processor is fast at it.
    """

    family: str
    dataset: Dataset
    folder: Path
    device: str = "cpu"
    epochs: int | None = None
    steps: int | None = None
    minutes: float | None = None
    resume: bool = False
    bf16: bool | None = None
    measurement: str | None = None
    gan: Literal["sngan", "wgan-gp"] = "sngan"
    seed: int = 0

    @property
    def name(self) -> str:
        process = [processes.parse(self.measurement).slug] if self.measurement else []
        variant = [*(["wgan"] if self.gan == "wgan-gp" else []), *([f"seed{self.seed}"] if self.seed else [])]
        return "-".join([self.family, *process, *variant, self.dataset.name])

    @property
    def state(self) -> Path:
        """The file for the state of the training."""
        return self.folder / f"{self.name}.checkpoint.safetensors"

    @property
    def in_bf16(self) -> bool:
        return fast_bf16(torch.device(self.device)) if self.bf16 is None else self.bf16

    def command(self) -> str:
        """What makes these weights again on one machine."""
        names = ("measurement", "epochs", "steps", "seed")
        options = [f"--{name} {value}" for name in names if (value := getattr(self, name))]
        if self.gan != "sngan":
            options.append(f"--gan {self.gan}")
        return " ".join(["csbench train", self.family, "--dataset", self.dataset.name, *options])


Report = Callable[[Progress], None]
Card = dict[str, Any]


def train(job: TrainingJob, report: Report = lambda progress: None) -> Path | None:
    """Train, and write weights and card.

    Returns:
        the weights file, or None where the time ran out first and only the checkpoint was written.
    """
    if job.family not in RECIPES:
        raise UnknownName("prior", job.family, RECIPES)
    learned_from_measurements = job.family in get_args(Use)
    if learned_from_measurements != (job.measurement is not None):
        raise UsageError(
            f"{job.family} learns from measurements; say which, `--measurement block-pixels:p=0.95` for instance"
            if learned_from_measurements
            else f"{job.family} is trained on clean images; only {', '.join(get_args(Use))} take --measurement"
        )
    if job.seed and not learned_from_measurements and job.family not in ("dcgan", "wgan"):
        raise UsageError(f"--seed is for GANs; the recipe of {job.family} has a seed of its own")
    if job.gan != "sngan" and not learned_from_measurements:
        raise UsageError(f"--gan is for {', '.join(get_args(Use))}; {job.family} is a recipe of its own")
    card = {
        "family": job.family,
        "dataset": job.dataset.name,
        "measurements": "none: trained on clean images",
        "licence": _licence(job.dataset),
        "hardware": checkpoint.processor_of(torch.device(job.device)),
        "versions": {"csbench": __version__, "torch": torch.__version__},
        "command": job.command(),
    }
    return RECIPES[job.family](job, card, report)


def _clean_images(job: TrainingJob, card: Card) -> Images:
    images = sound_images(job.dataset, "training")
    card["split"] = f"all {len(images)} training images"
    return images


def _licence(dataset: Dataset) -> str:
    if dataset.restricted:
        return f"weights: non-commercial research only; training images: {dataset.licence}"
    return f"weights: MIT; training images: {dataset.licence}"


def _fit_mean(job: TrainingJob, card: Card, report: Report) -> Path:
    mean = _clean_images(job, card).signals().double().mean(0)
    validation = sound_images(job.dataset, "validation").signals(torch.float64)
    card |= {"quality": {"validation_mse": round((validation - mean).square().mean().item(), 6)}}
    return checkpoint.save(job.folder, job.name, {"mean": mean.float()}, card)


def _fit_pca(job: TrainingJob, card: Card, report: Report) -> Path:
    images = _clean_images(job, card)
    k = min(PCA_COMPONENTS, job.dataset.n)
    if job.dataset.mirrored:
        prior = pca.fit_mirrored(images.signals().reshape(-1, *job.dataset.image_shape), k)
    else:
        prior = pca.fit(images.signals(), k)
    tensors = {
        "mean": prior.mean.float(),
        "components": prior.components.half(),  # half the size; errors are the same to four digits
        "variances": prior.variances.float(),
        "residual": torch.tensor(prior.residual),
    }
    rest = prior.residual * (job.dataset.n - len(prior.variances))
    explained = 1 - rest / (prior.variances.sum().item() + rest)
    card |= {"quality": {"components": len(prior.variances), "variance_explained": round(explained, 6)}}
    return checkpoint.save(job.folder, job.name, tensors, card)


def _fit_mixture(job: TrainingJob, card: Card, report: Report) -> Path | None:
    recipe = mixture.MixtureRecipe()
    x = _clean_images(job, card).signals()
    fitted, iterations, seconds = mixture.fit(x, recipe, job.state, resume=job.resume, report=_Watch(job, report))
    if iterations < recipe.iterations:
        return None
    validation = sound_images(job.dataset, "validation").signals(torch.float64)
    tensors = {name: tensor.half() for name, tensor in fitted.tensors().items()}
    # Variances span more than half precision does, and weights are few.
    tensors |= {"weights": fitted.weights.float(), "noise": fitted.noise.float()}
    card |= {
        "recipe": asdict(recipe),
        "seconds": round(seconds, 1),
        "quality": {"validation_log_likelihood": round(fitted.log_likelihood(validation), 2)},
    }
    path = checkpoint.save(job.folder, job.name, tensors, card)
    job.state.unlink(missing_ok=True)
    return path


def _draw_relu(job: TrainingJob, card: Card, report: Report) -> Path:
    architecture = {"latent_dim": 20, "hidden": [100, 400], "n": job.dataset.n}
    generator = ReLUGenerator.random(**architecture, rng=stream("random-relu", job.dataset.n))
    card |= {
        "split": "none: weights are random",
        "measurements": "none: not trained",
        "licence": "weights: MIT",
        "architecture": {"kind": "relu", **architecture},
        "quality": {},
    }
    return checkpoint.save(job.folder, job.name, generator.state_dict(), card)


def _train_vae(job: TrainingJob, card: Card, report: Report) -> Path | None:
    recipe = vae.conv_vae(job.dataset.image_shape) if job.family == "conv-vae" else vae.VAERecipe()
    if job.epochs:
        recipe = replace(recipe, epochs=job.epochs)
    watch = _Watch(job, report)
    images = _clean_images(job, card)
    trained = vae.train(
        torch.tensor(images.pixels, device=job.device),
        recipe,
        job.state,
        mirrored=job.dataset.mirrored,
        bf16=job.in_bf16,
        resume=job.resume,
        report=lambda progress, model: watch.with_samples(progress, model.decode, recipe.latent_dim),
    )
    if trained.epochs < recipe.epochs:
        return None
    model = trained.model.cpu()
    validation = sound_images(job.dataset, "validation").signals()
    quality = vae.quality(model, validation.reshape(-1, *job.dataset.image_shape))
    steps = trained.epochs * -(-len(images) // recipe.batch_size)
    architecture = recipe.architecture(job.dataset.image_shape)
    return _finish(job, recipe, card, model.generator(), architecture, steps, trained.seconds, quality)


def _train_gan(job: TrainingJob, card: Card, report: Report) -> Path | None:
    make = gan.dcgan if job.family == "dcgan" else gan.wgan
    recipe = replace(make(job.dataset.image_shape), seed=job.seed)
    pixels = torch.tensor(_clean_images(job, card).pixels, device=job.device)
    examples = gan.CleanExamples(pixels, job.dataset.mirrored, recipe.contrast)
    return _finish_gan(job, examples, recipe, card, report)


def _train_on_measurements(job: TrainingJob, card: Card, report: Report) -> Path | None:
    """AmbientGAN, or one of its baselines. Clean images end in `simulate`; the GAN gets what comes out."""
    process = processes.parse(job.measurement or "")
    use: Use = job.family  # type: ignore[assignment]
    measured = simulate(
        job.dataset,
        process,
        use,
        job.seed,
        lambda done, total: report(Progress(done, total, f"measuring images: {process.spec}")),
    )
    examples = MeasuredExamples.of(measured, process, use, job.dataset.image_shape, job.device)
    make = gan.dcgan if job.gan == "sngan" else gan.wgan
    critic = "dense" if use == "ambient" and process.scattered else "convolutional"
    recipe = replace(make(job.dataset.image_shape), seed=job.seed, measurement=process.spec, critic=critic)
    card |= {
        "split": f"measurements of all {len(measured)} training images",
        "measurements": f"{process.spec}, one draw for each training image",
    }
    return _finish_gan(job, examples, recipe, card, report)


def _finish_gan(
    job: TrainingJob, examples: gan.Examples, recipe: gan.GANRecipe, card: Card, report: Report
) -> Path | None:
    if job.steps:
        recipe = replace(recipe, steps=job.steps)
    watch = _Watch(job, report)
    trained = gan.train(
        examples,
        recipe,
        job.state,
        bf16=job.in_bf16,
        resume=job.resume,
        report=lambda progress, generate: watch.with_samples(progress, generate, recipe.latent_dim),
    )
    if trained.steps < recipe.steps:
        return None
    generator = trained.generator.cpu().folded().requires_grad_(False)
    x = sound_images(job.dataset, "validation")[:VALIDATION_IMAGES].signals()
    quality = {"validation_representation_mse": round(misfit(x, generator, rng=stream("project", job.name)), 6)}
    architecture = recipe.architecture(job.dataset.image_shape)
    return _finish(job, recipe, card, generator, architecture, trained.steps, trained.seconds, quality)


def _train_classifier(job: TrainingJob, card: Card, report: Report) -> Path | None:
    images = _clean_images(job, card)
    if images.labels.min() < 0:
        raise UsageError(f"{job.dataset.name} has no labels to train a classifier on")
    recipe = classifier.ClassifierRecipe()
    if job.epochs:
        recipe = replace(recipe, epochs=job.epochs)
    network, epochs, seconds = classifier.train(
        torch.tensor(images.pixels, device=job.device),
        torch.from_numpy(images.labels),
        recipe,
        job.state,
        mirrored=job.dataset.mirrored,
        bf16=job.in_bf16,
        resume=job.resume,
        report=_Watch(job, report),
    )
    if epochs < recipe.epochs:
        return None
    held_out = sound_images(job.dataset, "held out")
    probabilities, _ = classifier.classify(network.cpu(), held_out.signals())
    accuracy = (probabilities.argmax(1) == torch.from_numpy(held_out.labels)).double().mean().item()
    score, spread = classifier.inception_score(probabilities)
    quality = {
        "held_out_images": len(held_out),
        "accuracy": round(accuracy, 4),
        "inception_score_of_held_out_images": round(score, 3),
        "inception_score_of_held_out_images_std": round(spread, 3),
    }
    steps = epochs * -(-len(images) // recipe.batch_size)
    return _finish(job, recipe, card, network, network.architecture, steps, seconds, quality)


def _finish(
    job: TrainingJob,
    recipe: vae.VAERecipe | vae.ConvVAERecipe | gan.GANRecipe | classifier.ClassifierRecipe,
    card: Card,
    network: nn.Module,
    architecture: Card,
    steps: int,
    seconds: float,
    quality: Card,
) -> Path:
    card |= {
        "architecture": architecture,
        "recipe": asdict(recipe) | {"bf16": job.in_bf16},
        "steps": steps,
        "seconds": round(seconds, 1),
        "quality": quality,
    }
    # Half precision halves the files. Representation errors and scores on the card are of the rounded weights.
    path = checkpoint.save(job.folder, job.name, network.half().state_dict(), card)
    job.state.unlink(missing_ok=True)
    return path


class _Watch:
    """Tells of the progress, draws a grid of samples every minute, and stops the training when its time is up."""

    def __init__(self, job: TrainingJob, report: Report):
        self.job = job
        self.report = report
        self.started = self.drawn = time.monotonic()

    def __call__(self, progress: Progress) -> bool:
        self.report(progress)
        return self.job.minutes is None or time.monotonic() - self.started < 60 * self.job.minutes

    def with_samples(self, progress: Progress, generate: Callable[[Tensor], Tensor], latent_dim: int) -> bool:
        if time.monotonic() - self.drawn > SECONDS_PER_GRID or progress.done == progress.total:
            self.drawn = time.monotonic()
            z = torch.randn(64, latent_dim, generator=stream("samples", self.job.family)).to(self.job.device)
            with torch.no_grad():
                samples = generate(z).cpu().reshape(-1, *self.job.dataset.image_shape).numpy()
            write_png(self.job.folder / f"{self.job.name}.samples.png", tile(samples, columns=8), scale=2)
        return self(progress)


RECIPES: dict[str, Callable[[TrainingJob, Card, Report], Path | None]] = {
    "vae": _train_vae,
    "conv-vae": _train_vae,
    "dcgan": _train_gan,
    "wgan": _train_gan,
    **dict.fromkeys(get_args(Use), _train_on_measurements),
    "random-relu": _draw_relu,
    "pca": _fit_pca,
    "mfa": _fit_mixture,
    "mean": _fit_mean,
    "classifier": _train_classifier,
}
