"""The command line. Heavy imports happen inside the commands, so that `--help` and `list` answer at once."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from csbench.errors import CsbenchError, UsageError

if TYPE_CHECKING:
    from csbench.suites import Suite

app = typer.Typer(
    help="How well does a recovery method get x back from y = A x + noise, when m << n?\n\n"
    "Start with: csbench run quick",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Results = Annotated[Path, typer.Option("--results", help="Folder of the results.", metavar="DIR")]
Methods = Annotated[str | None, typer.Option("--methods", help="Only these, comma-separated.", metavar="NAME,...")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
SuiteName = Annotated[str, typer.Argument(help="Name of a suite, or a TOML file.", metavar="SUITE")]


def main() -> NoReturn:
    """Entry point: 0 done and ok, 1 something failed or differs, 2 the call was wrong, 130 interrupted."""
    try:
        app()
    except UsageError as error:
        _fail(error, 2)
    except CsbenchError as error:
        _fail(error, 1)
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(0)


def _fail(error: Exception, code: int) -> NoReturn:
    print(f"csbench: {error}", file=sys.stderr)
    sys.exit(code)


def _names(text: str | None) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip()) if text else ()


def _integers(option: str, text: str | None) -> tuple[int, ...]:
    try:
        return tuple(int(word) for word in _names(text))
    except ValueError:
        raise UsageError(f"{option} takes integers separated by commas, got {text!r}") from None


def _loadable(suite: Suite, asked_for: str | None) -> tuple[Suite, list[str]]:
    """Leaves out methods that cannot be loaded, and says so; those that were asked for by name stay, and fail."""
    from csbench.runner.plan import without_broken

    if asked_for:
        return suite, []
    suite, broken = without_broken(suite)
    for message in broken:
        print(f"csbench: {message}", file=sys.stderr)
    return suite, broken


@app.command()
def run(
    suite: SuiteName,
    methods: Methods = None,
    m: Annotated[str | None, typer.Option(help="Only these m, e.g. 25,50.", metavar="M,...")] = None,
    images: Annotated[int | None, typer.Option(help="Another number of images; never published.")] = None,
    draws: Annotated[int | None, typer.Option(help="Only the first draws of A.")] = None,
    jobs: Annotated[int | None, typer.Option(help="Worker processes; default: one per processor.")] = None,
    results: Results = Path("results"),
    timeout: Annotated[float | None, typer.Option(help="Seconds that a cell may take.")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Run again what is there already.")] = False,
    as_json: AsJson = False,
) -> None:
    """Run what is missing or stale of a suite, and show its leaderboard.

    Example: csbench run mnist-gaussian --methods lasso-dct,csgm-vae --m 25,50 --draws 1
    """
    from csbench.suites import load_suite

    if jobs is not None and jobs < 1:
        raise UsageError(f"--jobs is 1 or more, not {jobs}")
    if timeout is not None and timeout <= 0:
        raise UsageError(f"--timeout is a number of seconds above 0, not {timeout:g}")
    whole = load_suite(suite)
    part = whole.narrowed(_integers("--m", m), images, draws, _names(methods))

    from csbench.runner.command import run_suite  # imports torch, so only once the call is known to be right

    part, broken = _loadable(part, methods)
    code = run_suite(whole, part, results, jobs, timeout, fresh, as_json)
    sys.exit(code or bool(broken))


@app.command()
def status(
    suite: SuiteName,
    methods: Methods = None,
    check: Annotated[bool, typer.Option("--check", help="Exit with 1 unless all is fresh or not applicable.")] = False,
    results: Results = Path("results"),
    as_json: AsJson = False,
) -> None:
    """Show what of a suite is fresh, stale, missing, failed or not applicable.

    Example: csbench status mnist-gaussian
    """
    from csbench.runner.command import suite_states
    from csbench.suites import load_suite

    part, _ = _loadable(load_suite(suite).narrowed(methods=_names(methods)), methods)
    table = suite_states(part, results)
    if as_json:
        print(json.dumps(table, indent=2))
    else:
        columns = list(next(iter(table.values()), {}))
        _print_table(
            f"Cells of {suite}", ["method", *columns], [[n, *(str(c[k]) for k in columns)] for n, c in table.items()]
        )
    open_cells = sum(count[state] for count in table.values() for state in ("stale", "missing", "failed"))
    if check and open_cells:
        raise CsbenchError(f"{open_cells} cells of {suite} are not fresh; run `csbench run {suite}`")


@app.command("list")
def list_(
    what: Annotated[str, typer.Argument(help="methods, datasets, operators, suites or priors.")] = "methods",
    as_json: AsJson = False,
) -> None:
    """List what there is, with parameters and papers.

    Example: csbench list operators
    """
    rows = _catalogue(what)
    if as_json:
        print(json.dumps(rows, indent=2))
    else:
        headers = list(rows[0]) if rows else []
        _print_table(what, headers, [[_plain(row[h]) for h in headers] for row in rows])


@app.command()
def leaderboard(
    suites: Annotated[list[str] | None, typer.Argument(help="Default: every published suite.")] = None,
    check: Annotated[bool, typer.Option("--check", help="Exit with 1 and a diff where the file is stale.")] = False,
    results: Results = Path("results"),
    output: Annotated[Path, typer.Option("-o", "--output", help="The file.")] = Path("leaderboard.md"),
) -> None:
    """Render leaderboard.md from the results.

    Example: csbench leaderboard --check
    """
    import difflib

    from csbench.files import write_atomically
    from csbench.report.leaderboard import published_suites, render

    page = render(results, suites or published_suites())
    if not check:
        write_atomically(output, page.encode())
        print(f"wrote {output}")
        return
    found = output.read_text(encoding="utf-8") if output.is_file() else ""
    if found != page:
        diff = difflib.unified_diff(found.splitlines(), page.splitlines(), str(output), "from the results", lineterm="")
        print("\n".join(diff))
        _fail(CsbenchError(f"{output} is not what {results}/ gives; run `csbench leaderboard`"), 1)
    print(f"{output} is up to date")


@app.command()
def plot(
    suite: SuiteName,
    output: Annotated[Path, typer.Option("-o", "--output", help="A .svg, .png or .pdf file.")],
    methods: Methods = None,
    reference: Annotated[Path | None, typer.Option(help="CSV of published curves, with a column m.")] = None,
    columns: Annotated[str | None, typer.Option(help="Columns of the CSV.", metavar="NAME,...")] = None,
    results: Results = Path("results"),
) -> None:
    """Draw error-versus-m curves.

    Example: csbench plot mnist-gaussian --methods lasso-dct,csgm-vae -o curve.svg
    """
    from csbench.report.curves import plot as draw
    from csbench.report.curves import read_reference, representation_floors
    from csbench.report.standings import standings
    from csbench.store import load_results
    from csbench.suites import load_suite

    definition = load_suite(suite)
    references = read_reference(reference, list(_names(columns))) if reference else []
    frame = load_results(definition.name, results)
    if not len(frame):
        raise UsageError(f"no results of {definition.name} in {results}/; run `csbench run {suite}`")
    floors = representation_floors(frame, definition, results)
    draw(standings(frame, definition), output, list(_names(methods)) or None, references, floors)
    print(f"wrote {output}")


@app.command()
def saving(
    suite: SuiteName,
    method: Annotated[str, typer.Option(help="The method that saves.")] = "csgm-vae",
    against: Annotated[str, typer.Option(help="The method to compare with.")] = "lasso-dct",
    at: Annotated[int, typer.Option(help="The m whose error is matched.")] = 75,
    results: Results = Path("results"),
) -> None:
    """Say how many times fewer measurements a method needs than another, at equal error.

    Example: csbench saving mnist-gaussian --method csgm-vae --against lasso-dct --at 75
    """
    from csbench.report.standings import saving as measure
    from csbench.store import load_results
    from csbench.suites import load_suite

    definition = load_suite(suite)
    if at not in definition.m:
        raise UsageError(f"--at is one of m = {', '.join(map(str, definition.m))}, not {at}")
    frame = load_results(definition.name, results)
    for name in (method, against):
        if not len(frame) or name not in set(frame["method"]):
            raise UsageError(f"no results of {name!r} on {suite} in {results}/; run `csbench run {suite}`")
    error, factor = measure(frame, definition, method, against, at)
    first, last = definition.m[0] / at, definition.m[-1] / at

    def show(times: float) -> str:
        return f"more than {last:.2f}" if times > last else f"at most {first:.2f}" if times <= first else f"{times:.2f}"

    print(
        f"{method} reaches {error:.4g} at m = {at}; {against} needs {show(factor.value)} times as many measurements "
        f"(95% interval {show(factor.low)} to {show(factor.high)})"
    )


@app.command()
def tune(
    suite: SuiteName,
    methods: Annotated[str, typer.Option(help="Methods with a penalty.", metavar="NAME,...")] = (
        "lasso-pixel,lasso-dct,lasso-wavelet"
    ),
    images: Annotated[int, typer.Option(min=1, max=500, help="Validation images.")] = 50,
    m: Annotated[str | None, typer.Option("--m", help="Only these, of the suite's.", metavar="M,...")] = None,
) -> None:
    """Choose penalties on validation images, and store them in methods/tuned.json.

    Example: csbench tune mnist-gaussian --methods lasso-dct
    """
    from csbench import tuned
    from csbench.files import write_atomically
    from csbench.progress import progress_bar
    from csbench.registry import get_method
    from csbench.runner.tuning import tune as tune_method
    from csbench.suites import load_suite

    definition = load_suite(suite).narrowed(m=_integers("--m", m))
    options = f" --m {m} --images {images}" if m else ""
    with progress_bar() as progress:
        for name in _names(methods):
            task = progress.add_task(f"{name} on {suite}", total=len(definition.m))
            outcome = tune_method(name, definition, images, lambda m: progress.update(task, advance=1))  # noqa: B023
            entry = tuned.key(name, definition.dataset, definition.operator, definition.noise_norm)
            table = tuned.table()  # read anew, for another process may have written to it
            table[entry] = outcome.entry() | {"command": f"csbench tune {suite}{options}"}
            write_atomically(tuned.PATH, (json.dumps(dict(sorted(table.items())), indent=2) + "\n").encode())
            print(f"{entry}: alpha = {outcome.alpha:g}")
            bound = get_method(name)().bind(definition.dataset, definition.operator, definition.noise_norm)
            if bound.params().get("alpha") != outcome.alpha:
                print(
                    f"note: {name} does not use it; its `bind` must look it up (see CONTRIBUTING.md)", file=sys.stderr
                )
    print(f"wrote {tuned.PATH.name}")


@app.command()
def train(
    prior: Annotated[
        str, typer.Argument(help="vae, conv-vae, dcgan, wgan, random-relu, pca, mean, or the classifier that judges.")
    ],
    dataset: Annotated[str, typer.Option(help="Name of a dataset.")] = "mnist",
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the checkpoint of a stopped training.")] = False,
    minutes: Annotated[float | None, typer.Option(help="Stop after this time; --resume goes on.")] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Of a VAE, instead of the recipe's.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Of a GAN, instead of the recipe's.")] = None,
    bf16: Annotated[
        bool | None, typer.Option(help="Convolutions in bfloat16; default: where the processor is fast at it.")
    ] = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Folder; default: methods/weights.")] = None,
) -> None:
    """Train a prior; writes weights and their card, and a grid of samples as it goes.

    Example: csbench train dcgan --dataset mnist --minutes 10
    """
    import torch

    from csbench.priors import checkpoint
    from csbench.priors.training import TrainingJob
    from csbench.priors.training import train as start
    from csbench.progress import progress_bar
    from csbench.registry import get_dataset

    if device.startswith("cuda") and not torch.cuda.is_available():
        raise UsageError("--device cuda: torch sees no GPU; use --device cpu")
    folder = output or checkpoint.weights_folders()[0]
    job = TrainingJob(prior, get_dataset(dataset), folder, device, epochs, steps, minutes, resume, bf16)
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
    """Measure a generator: inception score, Frechet distance, representation error; puts them on its card.

    Example: csbench assess dcgan-mnist --dataset mnist --grid samples.png
    """
    import torch

    from csbench.priors.quality import assess as measure
    from csbench.priors.quality import sample_grid
    from csbench.registry import get_dataset

    torch.set_num_threads(1)
    images = get_dataset(dataset)
    if grid is not None:
        sample_grid(prior, images, grid)
        print(f"wrote {grid}")
    for name, value in measure(prior, images).items():
        print(f"{name}: {value}")


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

    from csbench.progress import progress_bar
    from csbench.registry import get_dataset
    from csbench.runner.floors import update
    from csbench.runner.plan import generators
    from csbench.suites import load_suite

    torch.set_num_threads(1)
    definition = load_suite(suite).narrowed(methods=_names(methods))
    dataset = get_dataset(definition.dataset)
    names = generators(definition)
    if not names:
        raise UsageError("none of these methods has a generator")
    with progress_bar() as progress:
        task = progress.add_task(f"projecting on {definition.dataset}", total=len(names))
        for name in names:
            error = update(results, name, dataset, definition.images)
            print(f"{name}: {error:.5f} per pixel, mean of {definition.images} test images")
            progress.update(task, advance=1)


@app.command()
def reconstructions(
    suite: SuiteName,
    output: Annotated[Path, typer.Option("-o", "--output", help="A .png, .svg or .pdf file.")],
    methods: Annotated[str, typer.Option("--methods", help="In this order.", metavar="NAME,...")] = (
        "lasso-dct,lasso-wavelet,csgm-vae"
    ),
    m: Annotated[str | None, typer.Option("--m", help="Only these, of the suite's.", metavar="M,...")] = None,
    images: Annotated[int, typer.Option(min=1, max=32, help="From the start of the test split.")] = 8,
) -> None:
    """Draw test images beside what methods make of their measurements, the same y as in the suite's first draw.

    Example: csbench reconstructions mnist-gaussian --m 25,100,400 -o rows.png
    """
    import torch

    from csbench.progress import progress_bar
    from csbench.report.reconstructions import check_format, draw
    from csbench.runner.pictures import reconstruct
    from csbench.suites import load_suite

    check_format(output)
    torch.set_num_threads(1)
    definition = load_suite(suite).narrowed(m=_integers("--m", m), methods=_names(methods), draws=1)
    with progress_bar() as progress:
        task = progress.add_task("recovering", total=len(definition.m) * len(definition.methods))
        truth, recovered, errors = reconstruct(definition, images, lambda: progress.update(task, advance=1))
    draw(output, truth, recovered, errors)
    print(f"wrote {output}")


def _catalogue(what: str) -> list[dict[str, Any]]:
    from csbench.registry import BASES, entries

    if what in BASES:
        rows = []
        for entry in entries(what).values():  # type: ignore[arg-type]
            row: dict[str, Any] = {"name": entry.name}
            if what == "methods":
                row["parameters"] = entry.fields
            rows.append(row | {"what": entry.summary, "module": entry.module})
        return rows
    if what == "suites":
        from csbench.suites import load_suite, suite_names

        suites = [load_suite(name) for name in suite_names()]
        return [
            {
                "name": s.name,
                "version": s.version,
                "what": s.title,
                "m": list(s.m),
                "images": s.images,
                "draws": s.draws,
            }
            for s in suites
        ]
    if what == "priors":
        folder = Path(__file__).parent / "methods" / "weights"
        cards = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
        return [
            {"name": c["name"], "trained on": c["dataset"], "measurements": c["measurements"], "quality": c["quality"]}
            for c in cards
        ]
    raise UsageError(f"cannot list {what!r}; there are {', '.join([*BASES, 'suites', 'priors'])}")


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{k}={v}" for k, v in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _print_table(title: str, headers: list[str], rows: list[list[str]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(*headers, title=title)
    for row in rows:
        table.add_row(*row)
    Console().print(table)
