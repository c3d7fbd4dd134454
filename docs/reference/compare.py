"""Our errors beside the published ones, and why lasso-dct is above at some m: `python docs/reference/compare.py`.

Prints for every m: our error over the published one; the share of random samples of 10 of our images and one draw whose
mean is at or below the published figure (which is such a mean); and, at two m, what the best penalty would gain on
the test images themselves (no method may be tuned on these; it is a bound).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from csbench import Problem, get_method, load_results
from csbench.core import metrics
from csbench.core.method import PathMethod
from csbench.report.curves import read_reference
from csbench.studies.tune import GRID

HERE = Path(__file__).parent


def main() -> None:
    columns = ["csgm_vae", "lasso_dct", "csgm_conv_vae_k30", "csgm_dcgan_k20"]
    csgm, lasso, *convolutional = read_reference(HERE / "mnist_gaussian_published.csv", columns)
    frame = load_results("mnist-gaussian", HERE.parent.parent / "results")
    rng = np.random.default_rng(0)
    means = frame.groupby(["method", "m"])["mse"].mean()

    def as_good(errors: np.ndarray, published: float) -> float:
        tens = [errors[rng.integers(3), rng.choice(100, 10, replace=False)].mean() for _ in range(20_000)]
        return float((np.array(tens) <= published).mean())

    def of(method: str, m: int) -> np.ndarray:
        rows = frame[(frame["method"] == method) & (frame["m"] == m)]
        return rows.pivot(index="draw", columns="image", values="mse").to_numpy()

    print("over the published error:   m  csgm-conv-vae  samples of 10 as good  csgm-dcgan")
    for m in sorted(csgm.errors):
        vae, gan = (
            means[n, m] / r.errors[m] for n, r in zip(("csgm-conv-vae", "csgm-dcgan"), convolutional, strict=True)
        )
        share = as_good(of("csgm-conv-vae", m), convolutional[0].errors[m])
        print(f"{m:29}  {vae:13.2f}  {share:21.3f}  {gan:10.2f}")
    print("   m  csgm-vae/published  lasso-dct/published  samples of 10 as good")
    for m in sorted(lasso.errors):
        ratios = means["csgm-vae", m] / csgm.errors[m], means["lasso-dct", m] / lasso.errors[m]
        share = as_good(of("lasso-dct", m), lasso.errors[m])
        print(f"{m:4}  {ratios[0]:18.2f}  {ratios[1]:19.2f}  {share:21.3f}")

    method = get_method("lasso-dct")()
    tuned = method.bind("mnist", "gaussian", 0.1).params()["alpha"]
    assert isinstance(method, PathMethod)
    for m in (75, 200):
        given, truth = Problem("mnist", "gaussian", m, 0.1, 0, 100).simulate()
        recoveries = method.recover_path(given, list(GRID))
        by_alpha = {a: metrics.mse(r.x_hat, truth.x).mean().item() for a, r in zip(GRID, recoveries, strict=True)}
        best = min(by_alpha, key=lambda alpha: by_alpha[alpha])
        gain = 1 - by_alpha[best] / by_alpha[tuned]
        print(f"m = {m}: alpha = {best:g} would be best on the test images, {gain:.1%} better than the tuned {tuned:g}")


if __name__ == "__main__":
    main()
