"""The whole state of a training in one safetensors file, so that a killed training goes on where it was."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file
from safetensors.torch import save as dump_tensors
from torch import Tensor, nn

from csbench.core.decoding import Decoding
from csbench.core.errors import CheckpointError
from csbench.core.files import write_atomically


@dataclass(frozen=True)
class Progress:
    """What a training loop tells as it goes.

    Attributes:
        done, total: in the loop's own unit, epochs or steps.
        note: the figures to watch.
    """

    done: int
    total: int
    note: str


@dataclass(frozen=True)
class TrainingState:
    """All that changes while a network trains.

    Attributes:
        modules, optimizers: by name; a module's buffers count.
        rng: the CPU generator that everything random is drawn from.
    """

    modules: Mapping[str, nn.Module]
    optimizers: Mapping[str, torch.optim.Optimizer]
    rng: torch.Generator

    def store(self, path: Path, recipe: object, done: int, seconds: float) -> None:
        """Write everything, atomically."""
        tensors = {"rng": self.rng.get_state()}
        for name, module in self.modules.items():
            tensors |= {f"{name}/{key}": value for key, value in module.state_dict().items()}
        for name, optimizer in self.optimizers.items():
            for index, values in optimizer.state_dict()["state"].items():
                tensors |= {f"{name}/{index}/{key}": value for key, value in values.items()}
        metadata = {"done": str(done), "seconds": f"{seconds:.1f}", "recipe": repr(recipe)}
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, dump_tensors({k: v.detach().cpu().contiguous() for k, v in tensors.items()}, metadata))

    def restore(self, path: Path, recipe: object) -> tuple[int, float]:
        """Read everything back.

        Returns:
            how much was done, and the seconds that it took.

        Raises:
            CheckpointError: the file was written by another recipe, or is damaged.
        """
        with Decoding(CheckpointError, f"{path}: no state to go on from, delete it or train without --resume: "):
            return self._restored(path, recipe)

    def _restored(self, path: Path, recipe: object) -> tuple[int, float]:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata()
        if metadata.get("recipe") != repr(recipe):
            raise CheckpointError(
                f"{path} was written by {metadata.get('recipe')}, not by {recipe!r}; delete it or train without "
                "--resume"
            )
        tensors = load_file(path)
        for name, module in self.modules.items():
            module.load_state_dict(_under(tensors, name))
        for name, optimizer in self.optimizers.items():
            moments: dict[int, dict[str, Tensor]] = {}
            for key, value in _under(tensors, name).items():
                index, _, moment = key.partition("/")
                moments.setdefault(int(index), {})[moment] = value
            optimizer.load_state_dict({"state": moments, "param_groups": optimizer.state_dict()["param_groups"]})
        self.rng.set_state(tensors["rng"])
        return int(metadata["done"]), float(metadata["seconds"])


def _under(tensors: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    return {key.removeprefix(f"{name}/"): value for key, value in tensors.items() if key.startswith(f"{name}/")}
