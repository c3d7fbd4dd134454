"""The same cells on a cluster, by Dask distributed.

A task is a few cells of one problem, so that its operator is drawn once. Dask's workers run them in processes of their
own, under the same limits as on one machine, so a method that crashes or hangs costs its cell and no worker. Rows come
back with each task, and the client journals them; the tasks of a worker that is lost run again elsewhere.
"""

from __future__ import annotations

import contextlib
import importlib
import pickle
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import CancelledError
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import yaml
from distributed import Client, Future, KilledWorker, Worker, WorkerPlugin, as_completed, get_worker

from csbench.catalogue.suites import Suite
from csbench.core.errors import CsbenchError, UsageError
from csbench.core.method import Method
from csbench.freshness.made_by import NO_WEIGHTS
from csbench.runner import provenance
from csbench.runner.limits import Limits
from csbench.runner.local import run_in
from csbench.runner.plan import Cell, ingredients
from csbench.runner.pool import Pool, open_pool
from csbench.runner.score import Finished, finished
from csbench.runner.solving import Outcome

CELLS_PER_TASK = 4
CONNECT_SECONDS = 10
MACHINE = ("csbench", "commit", "dirty", "python", "packages", "cpu", "cores", "memory_gb", "os", "blas")
FIELDS = {"cluster": str, "options": dict, "scale": dict}  # of the file of `--dask-cluster`


@contextlib.contextmanager
def connect(address: str, waiting: Callable[[str], None]) -> Iterator[Cluster]:
    """A cluster that is there already.

    Args:
        waiting: told the scheduler's address, where there is no worker yet.

    Raises:
        UsageError: no scheduler answers at the address, such as tcp://host:8786.
    """
    try:
        client = Client(address, timeout=CONNECT_SECONDS)
    except (OSError, ValueError) as error:
        raise UsageError(
            f"--dask {address}: no scheduler answers there ({error}); start one with `dask scheduler`"
        ) from error
    with client:
        yield _ready(client, waiting)


@contextlib.contextmanager
def start(path: Path, waiting: Callable[[str], None]) -> Iterator[Cluster]:
    """A cluster that ends with the run, as a YAML file says.

    Args:
        path: `cluster`, the import path of a class such as dask_jobqueue.SLURMCluster or distributed.LocalCluster;
            `options`, its arguments; `scale`, the arguments of its method `scale`.
        waiting: told the scheduler's address, where there is no worker yet.

    Raises:
        UsageError: the file is not of that form, or the cluster does not start.
    """
    entry = _read(path)
    module, _, name = entry["cluster"].rpartition(".")
    try:
        kind = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise UsageError(f"{path}: cluster: cannot import {entry['cluster']} ({error}); is it installed?") from error
    try:
        cluster = kind(**entry.get("options", {}))
        if "scale" in entry:
            cluster.scale(**entry["scale"])
    except Exception as error:  # whatever that class raises
        raise UsageError(f"{path}: {entry['cluster']} does not start: {type(error).__name__}: {error}") from error
    with cluster, Client(cluster) as client:
        yield _ready(client, waiting)


def _read(path: Path) -> dict[str, Any]:
    try:
        entry = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageError(f"{path}: {error}") from error
    if not isinstance(entry, dict) or "cluster" not in entry:
        raise UsageError(f"{path}: field cluster is missing, e.g. `cluster: dask_jobqueue.SLURMCluster`")
    if unknown := entry.keys() - FIELDS.keys():
        raise UsageError(f"{path}: unknown field {min(map(str, unknown))}; there are {', '.join(FIELDS)}")
    for field, kind in FIELDS.items():
        if not isinstance(entry.get(field, kind()), kind):
            raise UsageError(f"{path}: {field} must be {'a text' if kind is str else 'a mapping'}")
    return entry


def _ready(client: Client, waiting: Callable[[str], None]) -> Cluster:
    cluster = Cluster(client)
    if not cluster.threads():
        waiting(cluster.address)
        client.wait_for_workers(1)
    return cluster


@dataclass(frozen=True)
class Cluster:
    """Where cells run when a Dask scheduler is named."""

    client: Client

    def __str__(self) -> str:
        return f"a Dask cluster with {len(self.threads())} workers"

    @property
    def address(self) -> str:
        """Of the scheduler."""
        return self.client.scheduler_info(n_workers=0).get("address", "the Dask scheduler")

    def threads(self) -> dict[str, int]:
        """Address of each worker to the number of its threads."""
        return cast(dict[str, int], self.client.nthreads())

    def everywhere(self, function: Callable[..., Any], *arguments: Any) -> dict[str, Any]:
        """Address of each worker to what the function returned or raised there."""
        return cast(dict[str, Any], self.client.run(function, *arguments, on_error="return"))

    def facts(self) -> dict[str, Any]:
        """For the provenance of a run: every kind of machine among the workers."""
        threads = self.threads()
        kinds = {str(facts): facts for facts in self.everywhere(_machine).values() if isinstance(facts, dict)}
        return {"jobs": sum(threads.values()), "dask_workers": len(threads), "machines": list(kinds.values())}

    def run(self, cells: Iterable[Cell], limits: Limits, run_id: str) -> Generator[Finished, None, None]:
        """Run and score cells, yielding them task by task.

        Raises:
            CsbenchError: a worker cannot serve, or the scheduler is lost.
        """
        cells = list(cells)
        if not cells:
            return
        self._check(cells)
        plugin = _Workplace(run_id, limits)
        self.client.register_plugin(plugin)
        tasks = {
            self.client.submit(_run_task, pickle.dumps(task), limits, run_id, key=f"csbench-{run_id}-{number}"): task
            for number, task in enumerate(_tasks(cells))
        }
        try:
            for future in as_completed(tasks):
                yield from self._collected(future, tasks.pop(future), run_id)
        finally:
            with contextlib.suppress(Exception):  # the scheduler may be gone
                self.client.cancel(list(tasks), force=True)
                self.client.unregister_worker_plugin(plugin.name)

    def _check(self, cells: list[Cell]) -> None:
        methods = list({cell.method_name: (cell.method, cell.suite, cell.id.made_by) for cell in cells}.items())
        for worker, complaint in self.everywhere(_complaint, methods).items():
            if isinstance(complaint, BaseException):
                complaint = f"{type(complaint).__name__}: {complaint}; install there the same csbench and plug-ins"
            if complaint:
                raise CsbenchError(f"Dask worker {worker}: {complaint}")

    def _collected(self, future: Future, task: tuple[Cell, ...], run_id: str) -> Iterator[Finished]:
        try:
            yield from future.result()
        except KilledWorker as error:
            for cell in task:
                given, truth = cell.problem.simulate()
                yield finished(
                    cell, Outcome("failed", f"the Dask workers that ran it were lost: {error}"), given, truth, run_id
                )
        except (CancelledError, OSError) as error:
            raise CsbenchError(
                f"the Dask scheduler was lost, or cannot import csbench ({error}); what is finished is kept. See to it "
                "and run again"
            ) from error


class _Workplace(WorkerPlugin):
    """The pool of one Dask worker, of as many processes as it has threads, kept between tasks."""

    def __init__(self, run_id: str, limits: Limits):
        self.name = f"csbench-{run_id}"
        self.limits = limits

    def setup(self, worker: Worker) -> None:
        threads, memory = worker.state.nthreads, worker.memory_manager.memory_limit
        limits = self.limits
        if limits.memory_gb is None and memory:
            limits = replace(limits, memory_gb=memory / threads / 2**30)
        self._stack = contextlib.ExitStack()
        self.pool: Pool = self._stack.enter_context(open_pool(threads, limits))

    def teardown(self, worker: Worker) -> None:
        self._stack.close()


def _tasks(cells: list[Cell]) -> Iterator[tuple[Cell, ...]]:
    by_problem: dict[Any, list[Cell]] = {}
    for cell in cells:
        by_problem.setdefault(cell.problem, []).append(cell)
    for together in by_problem.values():
        yield from (tuple(together[i : i + CELLS_PER_TASK]) for i in range(0, len(together), CELLS_PER_TASK))


def _run_task(task: bytes, limits: Limits, run_id: str) -> list[Finished]:
    """On a Dask worker: run and score cells of one problem.

    Args:
        task: the cells, pickled, so that the scheduler need not have their methods.
    """
    cells: tuple[Cell, ...] = pickle.loads(task)
    workplace = get_worker().plugins[f"csbench-{run_id}"]
    assert isinstance(workplace, _Workplace)
    for cell in cells:
        if _made_by(cell.method, cell.suite) != cell.id.made_by:  # a worker that joined since the run began
            raise CsbenchError(f"Dask worker {get_worker().address}: {_other_code(cell.method_name)}")
    with contextlib.closing(run_in(workplace.pool, cells, 1, limits)) as outcomes:
        return [finished(*outcome, run_id) for outcome in outcomes]


def _machine() -> dict[str, Any]:
    facts = provenance.collect()
    return {
        name: facts[name]
        for name in ("commit", "dirty", "python", "packages", "cpu", "cores", "memory_gb", "os", "blas")
    }


def _made_by(method: Method, suite: Suite) -> str:
    made_of = ingredients(method, suite)
    return made_of.made_by if made_of else NO_WEIGHTS


def _complaint(methods: list[tuple[str, tuple[Method, Suite, str]]]) -> str | None:
    """On a Dask worker: why it cannot run these, or None."""
    for name, (method, suite, made_by) in methods:
        if _made_by(method, suite) != made_by:
            return _other_code(name)
    return None


def _other_code(name: str) -> str:
    return f"has other code, parameters or weights of {name} than this machine; install the same csbench there"
