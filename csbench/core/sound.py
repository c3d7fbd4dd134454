"""Whether a dataset gives what it promises, asked once before anything is computed from its images."""

from __future__ import annotations

import inspect
from typing import Any, Literal

import numpy as np

from csbench.core.dataset import Dataset, Images, Split
from csbench.core.errors import CsbenchError, UsageError

Part = Split | Literal["training", "held out"]


def sound_images(dataset: Dataset, part: Part, at_least: int = 1) -> Images:
    """The images of a split, all that priors are trained on, or all that they never see; each of them looked at.

    An image that is transposed can be told only where its sides differ.

    Args:
        at_least: how many images are needed.

    Raises:
        UsageError: the dataset breaks a rule of `csbench.Dataset`: the message names it, its file, and what is wrong.
        CsbenchError: what the dataset itself says on purpose, such as that files are missing.
    """
    call = {"training": "training_images()", "held out": "held_out_images()"}.get(part, f"images({part!r})")
    try:
        shape = _checked_shape(dataset)
        found = {"training": dataset.training_images, "held out": dataset.held_out_images}.get(
            part,
            lambda: dataset.images(part),  # type: ignore[arg-type]
        )()
        complaint = _complaint(found, shape, at_least)
    except UsageError as error:
        complaint = str(error)
    except CsbenchError:
        raise
    except Exception as error:
        complaint = f"raises {type(error).__name__}: {error}"
    if complaint:
        raise UsageError(f"dataset {dataset.name} ({_file(dataset)}): {call}: {complaint}")
    return found


def _file(dataset: Dataset) -> str:
    try:
        return inspect.getfile(type(dataset))
    except (OSError, TypeError):  # made by hand, in a notebook for instance
        return type(dataset).__module__


def _checked_shape(dataset: Dataset) -> tuple[int, int, int]:
    shape = getattr(dataset, "image_shape", None)
    if isinstance(shape, tuple) and len(shape) == 3 and all(type(side) is int and side >= 1 for side in shape):
        return shape
    raise UsageError(f"image_shape must be a tuple (c, h, w) of integers, 1 or more, got {shape!r}")


def _complaint(found: Any, shape: tuple[int, int, int], at_least: int) -> str | None:
    """What is wrong with images that a dataset returned, and how they should be."""
    if not isinstance(found, Images):
        return f"must return csbench.Images, got {type(found).__name__}"
    if found.pixels.shape[1:] != shape:
        given = tuple(found.pixels.shape[1:])
        turned = " (height and width look exchanged)" if given == (shape[0], shape[2], shape[1]) else ""
        return f"pixels have the shape {given} each, image_shape says {shape}{turned}; make one like the other"
    if len(found) < at_least:
        return f"{at_least} images asked for, there are {len(found)}"
    return _complaint_of_numbers("ids", found.ids) or _complaint_of_numbers("labels", found.labels) or _in_doubt(found)


def _complaint_of_numbers(field: str, values: Any) -> str | None:
    if not isinstance(values, np.ndarray) or values.ndim != 1 or values.dtype.kind not in "iu":
        kind = f"{values.dtype} {values.shape}" if isinstance(values, np.ndarray) else type(values).__name__
        return f"{field} must be an array of int64, shape [batch], got {kind}"
    if len(values) and int(values.max()) > np.iinfo(np.int64).max:
        return f"{field} must fit into int64, got {values.max()}"
    return None


def _in_doubt(found: Images) -> str | None:
    """Ids that are not unique, pixels that are no numbers or out of range."""
    ids, counts = np.unique(found.ids, return_counts=True)
    if len(ids) < len(found):
        twice = ids[counts > 1]
        return f"ids must be unique, {twice[0]} stands there {counts.max()} times ({len(twice)} ids more than once)"
    if found.pixels.dtype == np.uint8:
        return None
    flat = found.pixels.reshape(len(found), -1)
    if not (whole := np.isfinite(flat).all(1)).all():
        return f"pixels must be finite, those of image {found.ids[~whole][0]} are not ({(~whole).sum()} such images)"
    within = (flat.min(1) >= 0) & (flat.max(1) <= 1)
    if within.all():
        return None
    first = flat[~within][0]
    return (
        f"pixels of float32 must be in [0, 1], those of image {found.ids[~within][0]} are in "
        f"[{first.min():g}, {first.max():g}] ({(~within).sum()} such images); rescale them"
    )
