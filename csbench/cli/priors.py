"""`csbench train`, `assess`, `samples`, `priors`, `project` and `decompose`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from csbench.cli.common import Methods, Results, SuiteName, app, integers, may_write, may_write_into, names, within
from csbench.core.errors import UsageError
from csbench.core.paths import weights_folders

MOST_MINUTES = 1e6


@app.command()
def train(
    prior: Annotated[
        str,
        typer.Argument(
            help="vae, conv-vae, dcgan, wgan, random-relu, pca, mfa, mean, or the classifier that judges; and, "
            "from lossy measurements alone: ambient, or its baselines ignore and unmeasure."
        ),
    ],
    dataset: Annotated[str, typer.Option(help="Name of a dataset.")] = "mnist",
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the checkpoint of a stopped training.")] = False,
    minutes: Annotated[float | None, typer.Option(help="Stop after this time; --resume goes on.")] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Of a VAE, instead of the recipe's.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Of a GAN, instead of the recipe's.")] = None,
    measurement: Annotated[
        str | None,
        typer.Option(help="What ambient, ignore and unmeasure learn from: block-pixels:p=0.95, block-patch:k=14, ..."),
    ] = None,
    gan: Annotated[str, typer.Option(help="Of ambient, ignore and unmeasure: sngan or wgan-gp.")] = "sngan",
    seed: Annotated[int, typer.Option(min=0, help="Of networks and measurements.")] = 0,
    bf16: Annotated[
        bool | None, typer.Option(help="Convolutions in bfloat16; default: where the processor is fast at it.")
    ] = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Folder; default: methods/weights.")] = None,
) -> None:
    """Train a prior; writes weights and their card, and a grid of samples as it goes.

    Example: csbench train dcgan --dataset mnist --minutes 10

    Example: csbench train ambient --measurement block-pixels:p=0.95 --dataset mnist
    """
    import torch

    from csbench.catalogue.registry import get_dataset
    from csbench.cli.progress import progress_bar
    from csbench.training.recipes import TrainingJob
    from csbench.training.recipes import train as start

    if device not in ("cpu", "cuda"):
        raise UsageError(f"--device is cpu or cuda, not {device!r}")
    if device == "cuda" and not torch.cuda.is_available():
        raise UsageError("--device cuda: torch sees no GPU; use --device cpu")
    if gan not in ("sngan", "wgan-gp"):
        raise UsageError(f"--gan must be sngan or wgan-gp, got {gan!r}")
    within("--minutes", minutes, 0, MOST_MINUTES)
    folder = output or weights_folders()[0]
    may_write_into("--output", folder)
    job = TrainingJob(
        prior, get_dataset(dataset), folder, device, epochs, steps, minutes, resume, bf16, measurement, gan, seed
    )
    with progress_bar("{task.fields[note]}") as progress:
        task = progress.add_task(f"{prior} on {dataset}", total=None, note="")
        path = start(
            job,
            lambda p: progress.update(task, completed=p.done, total=p.total, note=p.note),
        )
    if path is None:
        print("time is up; the checkpoint is kept. Go on with the same command and --resume")
    else:
        print(f"wrote {path} and {path.with_suffix('.json').name}")


@app.command()
def assess(
    prior: Annotated[str, typer.Argument(help="Name of trained weights, such as dcgan-mnist.")],
    dataset: Annotated[str, typer.Option(help="Name of the dataset that they were trained on.")] = "mnist",
    grid: Annotated[Path | None, typer.Option(help="Also write a grid of samples, a .png file.")] = None,
) -> None:
    """Measure a generator: inception score, Frechet distance, representation error, misfit; puts them on its card.

    Example: csbench assess dcgan-mnist --dataset mnist --grid samples.png
    """
    import torch

    from csbench.catalogue.registry import get_dataset
    from csbench.training.assessment import assess as measure
    from csbench.training.assessment import sample_grid

    torch.set_num_threads(1)
    may_write("--grid", grid, ".png")
    images = get_dataset(dataset)
    if grid is not None:
        sample_grid(prior, images, grid)
        print(f"wrote {grid}")
    for name, value in measure(prior, images).items():
        print(f"{name}: {value}")


@app.command()
def samples(
    output: Annotated[Path, typer.Option("-o", "--output", help="A .png file.")],
    measurement: Annotated[str, typer.Option(help="A measurement process, block-pixels:p=0.95 for instance.")],
    dataset: Annotated[str, typer.Option(help="Name of a dataset.")] = "mnist",
) -> None:
    """Draw training images, what was measured of them, and samples of the priors that were learned from that.

    Example: csbench samples --measurement block-pixels:p=0.95 -o samples.png
    """
    from csbench.catalogue.registry import get_dataset
    from csbench.training.assessment import comparison_grid
    from csbench.training.processes import parse

    may_write("--output", output, ".png")
    labels = comparison_grid(get_dataset(dataset), parse(measurement), output)
    print(f"wrote {output}; rows from the top: {', '.join(labels)}")


@app.command()
def priors(
    dataset: Annotated[str, typer.Option(help="Name of a dataset.")] = "mnist",
    curve: Annotated[
        Path | None, typer.Option(help="Also draw the score against what block-pixels dropped: a .png or .svg file.")
    ] = None,
    measured: Annotated[
        str | None, typer.Option(help="A measurement process: also score images as measured and as restored.")
    ] = None,
) -> None:
    """Compare trained priors: a Markdown table of inception score, Frechet distance and misfit.

    Example: csbench priors --dataset mnist --measured block-pixels:p=0.95
    """
    import torch

    from csbench.report.priors import draw_scores, read_cards, render

    torch.set_num_threads(1)
    may_write("--curve", curve, ".png", ".svg", ".pdf")
    cards = read_cards(weights_folders(), dataset)
    if measured is not None:
        cards += _scores_of_measurements(dataset, measured)
    print(render(cards), end="")
    if curve is not None:
        draw_scores(cards, curve)
        print(f"wrote {curve}")


def _scores_of_measurements(dataset: str, measurement: str) -> list[dict[str, Any]]:
    from csbench.catalogue.registry import get_dataset
    from csbench.training.assessment import measured_quality
    from csbench.training.processes import parse

    process, images = parse(measurement), get_dataset(dataset)
    as_measured = measured_quality(images, process, "ignore")
    restored = measured_quality(images, process, "unmeasure")
    return [
        {"family": "measured images", "measurements": process.spec, "quality": as_measured},
        {"family": "restored images", "measurements": process.spec, "quality": restored},
    ]


@app.command()
def project(
    suite: SuiteName,
    methods: Methods = None,
    results: Results = Path("results"),
) -> None:
    """Representation error of the generators on a suite's test images: min over z of ||x - G(z)||.

    It is the dashed floor in plots. Errors of weights that have not changed are kept.

    Example: csbench project mnist-gaussian --methods csgm-vae,csgm-dcgan
    """
    import torch

    from csbench.catalogue.registry import get_dataset
    from csbench.catalogue.suites import load_suite
    from csbench.cli.progress import progress_bar
    from csbench.freshness.lineage import Lineage
    from csbench.runner.plan import generators
    from csbench.studies.floors import update

    torch.set_num_threads(1)
    definition = load_suite(suite).narrowed(methods=names(methods))
    dataset = get_dataset(definition.dataset)
    lineage = Lineage.read(results, definition.name)
    found = generators(definition)
    if not found:
        raise UsageError("none of these methods has a generator")
    with progress_bar() as progress:
        task = progress.add_task(f"projecting on {definition.dataset}", total=len(found))
        for name in found:
            error = update(results, name, dataset, definition.images, lineage)
            print(f"{name}: {error:.5f} per pixel, mean of {definition.images} test images")
            progress.update(task, advance=1)


@app.command()
def decompose(
    suite: SuiteName,
    methods: Methods = None,
    m: Annotated[str | None, typer.Option("--m", help="Only these, of the suite's.", metavar="M,...")] = None,
    images: Annotated[int, typer.Option(min=1, help="From the start of the test split.")] = 20,
    results: Results = Path("results"),
    output: Annotated[Path | None, typer.Option("-o", "--output", help="A .png, .svg or .pdf file.")] = None,
) -> None:
    """Say how much of CSGM's error is representation, measurement and optimisation error (estimates).

    On the suite's first draw. What has been computed with the same code and weights is kept.

    Example: csbench decompose mnist-gaussian --methods csgm-vae,csgm-conv-vae --m 25,100,400 -o parts.png
    """
    import torch

    from csbench.catalogue.suites import load_suite
    from csbench.cli.progress import progress_bar
    from csbench.report.decomposition import draw, read, render, summary
    from csbench.report.style import check_format
    from csbench.studies.decompose import searching, update

    if output is not None:
        check_format(output)
    may_write("--output", output)
    torch.set_num_threads(1)
    whole = load_suite(suite)
    definition = whole.narrowed(m=integers("--m", m), methods=names(methods), draws=1)
    chosen = searching(definition, definition.methods if methods else ())
    images = min(images, definition.images)
    computed = 0
    with progress_bar("{task.fields[note]}") as progress:
        levels = len(definition.m) * len(definition.noise_norms)
        task = progress.add_task("decomposing", total=levels * len(chosen), note="")
        for name in chosen:
            progress.update(task, note=name)
            computed += update(results, whole, name, definition.m, images, lambda: progress.update(task, advance=1))
    means = summary(read(results, definition, chosen, images))
    print(f"{computed} of {levels * len(chosen)} levels computed, the others are those of {results}/decomposition")
    print(f"mean squared error per pixel x 1000 and its parts on {whole.name}, first draw, at most {images} images:\n")
    print(render(means, definition), end="")
    if output is not None:
        draw(output, means, definition)
        print(f"wrote {output}")
