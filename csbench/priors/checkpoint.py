"""Weights on disk: NAME.safetensors with a card, NAME.json, beside it. Nothing is ever unpickled."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as dump_tensors

from csbench.core import cards
from csbench.core.decoding import Decoding
from csbench.core.errors import CheckpointError, MissingWeights
from csbench.core.files import write_atomically
from csbench.core.machine import cpu_model
from csbench.core.paths import weights_folders

FAMILIES = ("vae", "conv-vae", "dcgan", "wgan", "random-relu", "pca", "mean", "classifier")  # NAME is FAMILY-DATASET
DTYPES = {f"torch.{name}" for name in ("float16", "bfloat16", "float32", "float64", "int64")}
LOADED: set[str] = set()  # names of the weights that were asked for since this was cleared


def weights_path(name: str) -> Path:
    """The file `NAME.safetensors`.

    Raises:
        MissingWeights: there is none; the message says how to train one.
    """
    for folder in weights_folders():
        path = folder / f"{name}.safetensors"
        if path.is_file():
            return path
    family = next((f for f in FAMILIES if name.startswith(f"{f}-")), "FAMILY")
    raise MissingWeights(
        f"no weights called {name!r} in {', '.join(map(str, weights_folders()))}; "
        f"train them with `csbench train {family} --dataset {name.removeprefix(f'{family}-')}`"
    )


def save(folder: Path, name: str, tensors: Mapping[str, torch.Tensor], about: Mapping[str, Any]) -> Path:
    """Write weights and their card, `about`; it gets the name, the size and the sha256 of the weights file, and a seal.

    Returns:
        the path of the weights file.

    Raises:
        CheckpointError: `about` lacks a field of a card, or has one that no card has.
    """
    folder.mkdir(parents=True, exist_ok=True)
    data = dump_tensors({key: value.detach().cpu().contiguous() for key, value in tensors.items()})
    path = folder / f"{name}.safetensors"
    full = {"name": name, **about, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    full.pop(cards.SEAL, None)  # of the card that this one was made from
    sealed = cards.written(cards.sound(full, path.with_suffix(".json")))
    write_atomically(path, data)
    write_atomically(path.with_suffix(".json"), sealed)
    return path


def load(name: str) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Weights and card.

    Raises:
        MissingWeights: there are none.
        CheckpointError: the card is missing or not sound; the weights are not those that it describes, cannot be read,
            or are no finite numbers.
    """
    LOADED.add(name)
    path = weights_path(name)
    with Decoding(CheckpointError, f"{path}: cannot be read: "):
        data = path.read_bytes()
    told = card(name)
    digest = hashlib.sha256(data).hexdigest()
    if digest != told.get("sha256"):
        raise CheckpointError(
            f"{path}: sha256 is {digest}, its card says {told.get('sha256')}; restore both files or train again"
        )
    with Decoding(CheckpointError, f"{path}: no safetensors file, train again: "):
        tensors = load_tensors(data)
    finite = {key: bool(torch.isfinite(value).all()) for key, value in tensors.items()}
    if not all(finite.values()):
        raise CheckpointError(f"{path}: tensor {min(finite, key=lambda key: finite[key])!r} is not finite; train again")
    strange = {str(value.dtype) for value in tensors.values()} - DTYPES
    if strange:
        raise CheckpointError(f"{path}: tensors are {', '.join(sorted(DTYPES))}, got {min(strange)}; train again")
    return tensors, told


def card(name: str) -> dict[str, Any]:
    """The card alone.

    Raises:
        MissingWeights: there are no weights.
        CheckpointError: the card is missing, or it is not sound.
    """
    path = weights_path(name).with_suffix(".json")
    try:
        told = cards.parsed(path)
    except (OSError, json.JSONDecodeError) as error:
        raise CheckpointError(f"{path}: the card cannot be read ({error})") from error
    return cards.sound(told, path)


def processor_of(device: torch.device) -> str:
    """The processor that trains, for the card."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{cpu_model()}, {torch.get_num_threads()} thread(s)"
