"""Methods that do what no method should, as a plug-in for real runs."""

SOURCE = '''
import builtins, itertools, mmap, os, random, resource, signal, socket, subprocess, sys, threading, time, warnings
from dataclasses import dataclass
from pathlib import Path
import numpy as np
import torch
from csbench import Method, Recovery

HERE = os.environ.get("CSBENCH_TEST_FOLDER", ".")

def grey(given, rng):
    return torch.rand(given.batch, given.n, generator=rng, dtype=given.y.dtype)

@dataclass(frozen=True)
class Honest(Method):
    """Computes something that most of what the others do would change."""
    def recover(self, given, rng):
        x = given.A.adjoint(given.y).clamp(0, 1)
        for _ in range(20):
            x = (x - 0.01 * given.A.adjoint(given.A(x) - given.y)).clamp(0, 1)
        noise = torch.rand(x.shape, generator=rng)
        with np.errstate(all="ignore"):
            scale = float(np.float64(1) / np.float64(3))
        warnings.warn("a warning is no error")
        return Recovery(x * 0.9 + 0.1 * noise * scale, {"iterations": torch.full((given.batch,), 20.0)})

@dataclass(frozen=True)
class Rival(Method):
    """Beside the others in one module."""
    def recover(self, given, rng):
        return grey(given, rng)

@dataclass(frozen=True)
class Patches(Method):
    """Replaces functions of torch, of Python and of its rivals."""
    def recover(self, given, rng):
        answer = grey(given, rng)
        torch.Tensor.clamp = lambda self, *a, **k: self * 0
        torch.rand = lambda *a, **k: torch.ones(given.batch, given.n)
        torch.Tensor.__mul__ = lambda self, other: other
        Honest.recover = lambda self, given, rng: given.A.adjoint(given.y) * 0
        Rival.recover = Honest.recover
        builtins.abs = lambda x: 7.0
        return answer

@dataclass(frozen=True)
class Clock(Method):
    """Stops all clocks."""
    def recover(self, given, rng):
        for name in ("time", "perf_counter", "process_time", "monotonic"):
            setattr(time, name, lambda: 0.0)
        end = os.times().elapsed + 0.3
        while os.times().elapsed < end:
            pass
        return grey(given, rng)

@dataclass(frozen=True)
class Threads(Method):
    """Leaves spinning threads."""
    def recover(self, given, rng):
        def spin():
            while True:
                sum(range(1000))
        for _ in range(3):
            threading.Thread(target=spin, daemon=True).start()
        return grey(given, rng)

@dataclass(frozen=True)
class Settings(Method):
    """Changes whatever is set for a whole process."""
    def recover(self, given, rng):
        answer = grey(given, rng)
        torch.set_default_device("meta")
        torch.set_default_dtype(torch.float64)
        np.seterr(all="raise")
        sys.setrecursionlimit(60)
        warnings.simplefilter("error")
        os.environ["OMP_NUM_THREADS"] = "64"
        os.chdir("/")
        return answer

@dataclass(frozen=True)
class Descriptors(Method):
    """Opens all files that it may."""
    def recover(self, given, rng):
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
        try:
            while True:
                KEPT.append(os.dup(0))
        except OSError:
            return grey(given, rng)

KEPT = []

@dataclass(frozen=True)
class Limits(Method):
    """Lowers the limits of its process."""
    def recover(self, given, rng):
        answer = grey(given, rng)
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
        resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))
        return answer

@dataclass(frozen=True)
class Hoards(Method):
    """Keeps half a gigabyte."""
    def recover(self, given, rng):
        KEPT.append(torch.ones(2**27))
        return grey(given, rng)

@dataclass(frozen=True)
class Shares(Method):
    """Fills memory that it shares, which no limit on its data counts."""
    def recover(self, given, rng):
        while True:
            area = mmap.mmap(-1, 2**26)
            area.write(b"x" * 2**26)
            KEPT.append(area)

@dataclass(frozen=True)
class LeavesQuietly(Method):
    """As if all were well."""
    def recover(self, given, rng):
        os._exit(0)

@dataclass(frozen=True)
class Closes(Method):
    """Closes all that is open."""
    def recover(self, given, rng):
        os.closerange(0, 4096)
        return grey(given, rng)

@dataclass(frozen=True)
class Stops(Method):
    """Stops itself."""
    def recover(self, given, rng):
        os.kill(os.getpid(), signal.SIGSTOP)
        return grey(given, rng)

@dataclass(frozen=True)
class StopsItsParent(Method):
    """Stops the one that watches it."""
    def recover(self, given, rng):
        os.kill(os.getppid(), signal.SIGSTOP)
        time.sleep(3600)

@dataclass(frozen=True)
class KillsItsParent(Method):
    """Ends the one that watches it."""
    def recover(self, given, rng):
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(3600)

@dataclass(frozen=True)
class Twice(Method):
    """Comes back in two processes."""
    def recover(self, given, rng):
        os.fork()
        return grey(given, rng)

def child(double):
    """A process that lives on, in a session of its own."""
    pid = os.fork()
    if pid:
        return os.waitpid(pid, 0) if double else None
    os.setsid()
    if not double or not os.fork():
        os.closerange(0, 4096)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        while True:
            time.sleep(0.1)
    os._exit(0)

@dataclass(frozen=True)
class Children(Method):
    """Starts processes of every kind, and ends well."""
    def recover(self, given, rng):
        subprocess.Popen(["sleep", "3600"])
        subprocess.Popen(["sleep", "3600"], start_new_session=True)
        child(double=False)
        child(double=True)
        return grey(given, rng)

@dataclass(frozen=True)
class Loops(Method):
    """Computes in Python for ever, and so does a child."""
    def recover(self, given, rng):
        child(double=True)
        while True:
            pass

@dataclass(frozen=True)
class LoopsCompiled(Method):
    """Never gives the interpreter back: a compiled loop that holds its lock."""
    def recover(self, given, rng):
        child(double=True)
        sum(itertools.repeat(0))

class Liar(torch.Tensor):
    """Tells another shape than it has."""
    @property
    def shape(self):
        return torch.Size(SHAPE)

@dataclass(frozen=True)
class Lies(Method):
    """An answer that is not what it says."""
    def recover(self, given, rng):
        SHAPE[:] = [given.batch, given.n]
        return torch.ones(1, 1).as_subclass(Liar)

SHAPE = []

class Evil:
    def __reduce__(self):
        return os.system, (f"touch {HERE}/unpickled",)

class Smuggler(torch.Tensor):
    def numpy(self, *a, **k):
        return Evil()
    def detach(self):
        return self
    def cpu(self):
        return self

@dataclass(frozen=True)
class Smuggles(Method):
    """Something that acts where it is unpickled."""
    def recover(self, given, rng):
        return grey(given, rng).as_subclass(Smuggler)

@dataclass(frozen=True)
class Surrogate(Method):
    """A reason that cannot be encoded."""
    def recover(self, given, rng):
        raise ValueError("\\udcff" * 10_000)

class Wordless(Exception):
    def __str__(self):
        raise RuntimeError
    __repr__ = __str__

@dataclass(frozen=True)
class WithoutWords(Method):
    """An error whose text cannot be had."""
    def recover(self, given, rng):
        raise Wordless

@dataclass(frozen=True)
class OddNames(Method):
    """A diagnostic whose name is markup."""
    def recover(self, given, rng):
        return Recovery(grey(given, rng), {"<img src=x>": torch.zeros(given.batch)})

@dataclass(frozen=True)
class ManyNames(Method):
    """A thousand diagnostics."""
    def recover(self, given, rng):
        return Recovery(grey(given, rng), {f"d{i}": torch.zeros(given.batch) for i in range(1000)})

@dataclass(frozen=True)
class Gigantic(Method):
    """Sends without end what nobody asked for."""
    def recover(self, given, rng):
        for name in os.listdir("/proc/self/fd"):
            if os.path.exists(f"/proc/self/fd/{name}") and "socket" in os.readlink(f"/proc/self/fd/{name}"):
                link = socket.socket(fileno=os.dup(int(name)))
                link.setblocking(True)
                link.sendall(b"\\xff" * 2**24)
        return grey(given, rng)
'''
