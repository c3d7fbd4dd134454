"""How the hyper-parameters of the methods in `methods/manifold.py` were chosen: errors on validation images.

    python docs/reference/sweep_manifold.py mnist pca-subspace:fraction=0.5 pca-subspace:fraction=0.7
    python docs/reference/sweep_manifold.py mnist local-tangent-plane:neighbours=200,dimension=100
    CSBENCH_DATA=... python docs/reference/sweep_manifold.py mnist mfa:components=20,factors=90,floor=1e-5

A mixture is fitted for the sweep to the first 20,000 training images of a random order, by two iterations. Mean squared
errors are times 1000, for m = 25, 50, 100, 200, 400 Gaussian measurements, noise_norm 0.1 and the first draw; the
geometric mean over m comes first.
"""

from __future__ import annotations

import argparse
import ast
import math
import os
import tempfile
from pathlib import Path

import torch

from csbench import get_dataset, get_method, stream
from csbench.core.method import Method
from csbench.priors import checkpoint, mixture
from csbench.runner.problem import Problem

IMAGES_OF_A_FIT = 20_000
ITERATIONS_OF_A_FIT = 2
M = (25, 50, 100, 200, 400)


def errors(method: Method, dataset: str, images: int) -> list[float]:
    found = []
    for m in M:
        given, truth = Problem(dataset, "gaussian", m, 0.1, 0, images, split="validation").simulate()
        recovery = method.bind(dataset, "gaussian", 0.1).recover(given, stream("sweep"))
        found.append((recovery.x_hat - truth.x).square().mean().item())  # type: ignore[union-attr]
    return found


def fit_mixture(dataset: str, settings: dict, folder: Path) -> None:
    x = get_dataset(dataset).training_images().signals()
    x = x[torch.randperm(len(x), generator=stream("sub"))[:IMAGES_OF_A_FIT]]
    recipe = mixture.MixtureRecipe(**settings, iterations=ITERATIONS_OF_A_FIT)
    fitted, _, _ = mixture.fit(x, recipe, folder / "state.safetensors")
    checkpoint.save(folder, f"mfa-{dataset}", fitted.tensors(), {"recipe": settings})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset")
    parser.add_argument("settings", nargs="+", help="METHOD:FIELD=VALUE,...")
    parser.add_argument("--images", type=int, default=50)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["CSBENCH_WEIGHTS"] = name
        for setting in arguments.settings:
            method, _, fields = setting.partition(":")
            pairs = (field.split("=") for field in fields.split(",") if field)
            values = {key: ast.literal_eval(value) for key, value in pairs}
            if method == "mfa" and values:
                fit_mixture(arguments.dataset, values, folder)
                values = {}
            found = errors(get_method(method)(**values), arguments.dataset, arguments.images)
            mean = math.exp(sum(map(math.log, found)) / len(found))
            print(
                f"{arguments.dataset} {setting}: {1000 * mean:.2f} |", *(f"{1000 * e:.2f}" for e in found), flush=True
            )


if __name__ == "__main__":
    main()
