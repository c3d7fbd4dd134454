"""Runs cells with the code of one checkout, and notes which of some lines of it ran: `python driver.py REQUEST.json`.

A program of its own, since one proof needs two processes with two codes. It uses nothing of csbench but what every
checkout has: `csbench.runner.inline`, `csbench.get_dataset` and `csbench.Images`. The request has the fields

    root       the checkout
    adapter    a file to run in place of `csbench.runner.inline`, for checkouts that have none; or null
    watch      path to spans of lines, [[first, last], ...]
    tell       [[suite, [method, ...]], ...]: what the code makes these of
    jobs       [{problem, method, params, missing}, ...]: cells to run
    answers    the folder for the answers: told.json, and for each cell N.npz and N.json, which says what it executed

Each answer is there before the next cell begins; a line of output tells of it.
"""

from __future__ import annotations

import importlib
import json
import runpy
import sys
import time
import traceback
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import numpy as np

COUNT = 64  # stand-ins for images that are not on this machine
COARSE = 8  # pixels


class Watcher:
    """Which instructions of some lines have run, as spans of the source."""

    def __init__(self, root: Path, watch: dict[str, list[list[int]]]):
        self.watch = {str(root / path): spans for path, spans in watch.items()}
        self.names = {str(root / path): path for path in watch}
        self.executed: dict[str, set[tuple[int, int, int, int]]] = {path: set() for path in watch}
        self._positions: dict[CodeType, list] = {}

    def start(self) -> None:
        if self.watch:
            import threading

            threading.settrace(self._on_call)
            sys.settrace(self._on_call)

    def _on_call(self, frame: FrameType, event: str, argument: Any) -> Any:
        code = frame.f_code
        spans = self.watch.get(code.co_filename)
        if spans is None:
            return None
        if code not in self._positions:
            positions: list[Any] = [None if None in p else p for p in code.co_positions()]
            lines = [p[0] for p in positions if p and p[0]]
            seen = lines and any(first <= max(lines) and min(lines) <= last for first, last in spans)
            self._positions[code] = positions if seen else []
        if not self._positions[code]:
            return None
        frame.f_trace_opcodes = True
        return self._on_step

    def _on_step(self, frame: FrameType, event: str, argument: Any) -> Any:
        if event == "opcode":
            position = self._positions[frame.f_code][frame.f_lasti // 2]
            if position:
                first, last, start, end = position
                self.executed[self.names[frame.f_code.co_filename]].add((first, start, last, end))
        return self._on_step

    def taken(self) -> dict[str, list[tuple[int, int, int, int]]]:
        """What has run since the last call."""
        found = {name: sorted(spans) for name, spans in self.executed.items() if spans}
        self.executed = {path: set() for path in self.executed}
        return found


def stand_in(dataset: str) -> None:
    """Give a dataset whose images are not here random ones of its shape: two codes are compared, no result is made."""
    import csbench

    kind = type(csbench.get_dataset(dataset))
    c, h, w = kind.image_shape

    def images(self: Any, split: str) -> Any:
        rng = np.random.default_rng(["train", "validation", "test"].index(split))
        coarse = rng.random((COUNT, c, -(-h // COARSE), -(-w // COARSE)), dtype=np.float32)
        smooth = coarse.repeat(COARSE, 2).repeat(COARSE, 3)[:, :, :h, :w]
        pixels = np.rint(255 * (0.9 * smooth + 0.1 * rng.random((COUNT, c, h, w)))).astype(np.uint8)
        return csbench.Images(np.arange(COUNT), pixels, np.full(COUNT, -1))

    kind.images = images


def main(request: dict[str, Any]) -> None:
    root, answers = Path(request["root"]), Path(request["answers"])
    sys.path.insert(0, str(root))
    watcher = Watcher(root, request["watch"])
    watcher.start()
    if request["adapter"]:
        code = runpy.run_path(request["adapter"])
    else:
        code = vars(importlib.import_module("csbench.runner.inline"))
    told = {suite: code["tell"](suite, methods) for suite, methods in request["tell"]}
    imported = {"executed": watcher.taken()}
    (answers / "told.json").write_text(json.dumps({"suites": told, "imported": imported}))
    for number, job in enumerate(request["jobs"]):
        if job["missing"]:
            stand_in(job["problem"]["dataset"])
        started = time.process_time()
        try:
            answer = code["run_inline"](job["problem"], job["method"], job["params"])
        except Exception:
            answer = {"status": "error", "reason": traceback.format_exc()}
        arrays = {name: value for name, value in answer.items() if isinstance(value, np.ndarray)}
        np.savez(answers / f"{number}.npz", **arrays)  # type: ignore[arg-type]
        texts = {name: value for name, value in answer.items() if name not in arrays}
        facts = {"seconds": time.process_time() - started, "executed": watcher.taken()}
        written = answers / f"{number}.part"
        written.write_text(json.dumps(texts | facts))
        written.rename(answers / f"{number}.json")
        print(number, flush=True)


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text()))
