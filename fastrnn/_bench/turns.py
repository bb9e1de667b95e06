"""Peers in processes of their own, which take turns: what is timed, how, and what comes of it."""

import multiprocessing
import os
import signal
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

from fastrnn import _core, set_num_threads
from fastrnn._bench.cases import MODES, Array, Case, Shape
from fastrnn._bench.peers import Peer, make, version

SETTLE = 0.02  # seconds for which the last peer's threads may still spin
LONG = 0.05  # a call of so many seconds need not be called once for nothing, to wake its threads and warm its caches


@dataclass(frozen=True)
class Effort:
    """How long to try: each peer is timed in at most so many rounds, of together about so many seconds."""

    rounds: int = 5
    seconds: float = 0.3
    most_seconds: float = 2.0  # beyond which rounds of single calls are left out, except for two


@dataclass
class Row:
    """One workload, timed: seconds of the best round and of the first call, by peer.

    `own` are fastrnn's seconds, in the same rounds, for what its time is compared with: "one thread", if there are
    more; "all steps", of a ragged batch; "float32", of float64.
    """

    shape: str
    dims: Shape
    cell: str
    dtype: str
    mode: str
    flops: int
    peak_gflops: float = 0.0
    seconds: dict[str, float] = field(default_factory=dict)
    first_call: dict[str, float] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    own: dict[str, float] = field(default_factory=dict)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        """Make a row of what `dataclasses.asdict` made of it."""
        return cls(**{**values, "dims": Shape(*values["dims"])})

    def gflops(self, peer: str) -> float:
        """Billions of operations per second, those of the matrix products alone."""
        return self.flops / self.seconds[peer] / 1e9

    def of_peak(self, peer: str) -> float:
        """Share of the highest multiply-add rate that the run had seen."""
        return self.gflops(peer) / self.peak_gflops

    def compared(self, label: str, peer: str, other: Self | None) -> float | None:
        """Return what a peer's seconds are compared with: its own, if they are there, or those of another run."""
        if peer == "fastrnn" and label in self.own:
            return self.own[label]
        return None if other is None else other.seconds.get(peer)

    @property
    def rival(self) -> str | None:
        """The fastest peer but fastrnn."""
        others = [peer for peer in self.seconds if peer != "fastrnn"]
        return min(others, key=self.seconds.__getitem__, default=None)

    @property
    def ahead(self) -> float | None:
        """How many times as long as fastrnn the best rival takes."""
        if self.rival is None or "fastrnn" not in self.seconds:
            return None
        return self.seconds[self.rival] / self.seconds["fastrnn"]


def peak_gflops(threads: int, dtype: str = "float32", seconds: float = 0.02) -> float:
    """Measure the multiply-add rate, in GFLOP/s, of so many threads at once, with the instruction set in use.

    The core counts multiply-adds that never leave the registers. A large product would not do as a yardstick: it would
    measure the kernels by themselves.
    """
    times = 1000
    while _timed_multiply_adds(1, dtype, times)[1] < 0.004:
        times *= 2
    end = time.perf_counter() + seconds
    best = 0.0
    while time.perf_counter() < end:
        done, took = _timed_multiply_adds(threads, dtype, times)
        best = max(best, 2 * done / took / 1e9)
    return best


def _timed_multiply_adds(threads: int, dtype: str, times: int) -> tuple[float, float]:
    """Return how many multiply-adds all threads did, and in how many seconds."""
    done = [0.0] * threads
    start = threading.Barrier(threads)

    def work(i: int) -> None:
        start.wait()
        done[i] = _core.multiply_adds(dtype, times)

    others = [threading.Thread(target=work, args=(i,)) for i in range(1, threads)]
    for thread in others:
        thread.start()
    begin = time.perf_counter()
    work(0)
    for thread in others:
        thread.join()
    return sum(done), time.perf_counter() - begin


def serve(pipe: Any, name: str, threads: int) -> None:
    """Be a peer: do what comes through the pipe, and send back what comes of it, be it an exception."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it is meant for the parent, which ends its children
    set_num_threads(threads)
    orders = _Orders(name, threads)
    while True:
        try:
            order, *arguments = pipe.recv()
        except EOFError:
            return
        try:
            answer = getattr(orders, order)(*arguments)
        except Exception as error:  # e.g. whatever a library raises when it is loaded
            answer = error if type(error).__module__ == "builtins" else RuntimeError(f"{type(error).__name__}: {error}")
        pipe.send(answer)


class _Orders:
    """What can be asked of a peer's process."""

    peer: Peer

    def __init__(self, name: str, threads: int) -> None:
        self.name, self.threads = name, threads

    def make(self, case: Case) -> float:
        """Make the peer ready for a case, and return how long it took; to make up the arrays is not its work."""
        _ = case.arrays
        begin = time.perf_counter()
        self.peer = make(self.name, case, self.threads)
        return time.perf_counter() - begin

    def version(self) -> str:
        """Return the version of the peer's library."""
        return version(self.name)

    def answers(self, method: str) -> tuple[float, list[Array]] | None:
        """Call for the first time: how long it took, and what came of it. None if the peer lacks the method."""
        if not hasattr(self.peer, method):
            return None
        begin = time.perf_counter()
        result = getattr(self.peer, method)()
        seconds = time.perf_counter() - begin
        return seconds, list(self.peer.arrays(result))

    def time(self, method: str, calls: int) -> float:
        """Return seconds per call."""
        call: Callable[[], Any] = getattr(self.peer, method)
        begin = time.perf_counter()
        for _ in range(calls):
            call()
        return (time.perf_counter() - begin) / calls

    def peak(self, dtype: str) -> float:
        """Return the multiply-add rate now."""
        return peak_gflops(self.threads, dtype)


class Process:
    """A peer in a process of its own: its threads and its memory disturb no other. The label tells it from others."""

    def __init__(self, name: str, threads: int, label: str | None = None) -> None:
        context = multiprocessing.get_context("spawn")
        self.name, self.label = name, label or name
        self.pipe, other = context.Pipe()
        self.process = context.Process(target=serve, args=(other, name, threads), daemon=True)
        self.process.start()
        other.close()

    def ask(self, *order: Any) -> Any:
        """Send an order and return its answer, or raise it."""
        self.pipe.send(order)
        try:
            answer = self.pipe.recv()
        except EOFError:
            raise RuntimeError(f"the process of {self.name} ended by itself") from None
        if isinstance(answer, Exception):
            raise answer
        return answer

    def alone(self, others: Iterable[Self], *order: Any) -> Any:
        """Ask while the others are stopped: their threads may spin while they wait for work."""
        stopped = [p for p in others if p is not self and p.process.is_alive()]
        try:
            for p in stopped:
                p.send("SIGSTOP")
            return self.ask(*order)
        finally:
            for p in stopped:
                p.send("SIGCONT")

    def send(self, name: str) -> None:
        """Send the process a signal, where the system has it."""
        if self.process.pid is not None and hasattr(signal, name):
            os.kill(self.process.pid, getattr(signal, name))

    def close(self) -> None:
        """End the process."""
        self.pipe.close()
        self.process.join(1)
        if self.process.is_alive():
            self.process.terminate()


class Bench:
    """Some peers on so many threads. A context manager: leaving it ends their processes."""

    def __init__(self, names: Sequence[str], threads: int, effort: Effort) -> None:
        self.threads, self.effort = threads, effort
        self.missing: dict[str, str] = {}
        self.versions: dict[str, str] = {}
        self._peak: defaultdict[str, float] = defaultdict(float)
        # NumPy's also gives the float64 answers, and fastrnn's measures the peak, even if they are not timed.
        self._processes = {n: Process(n, threads) for n in dict.fromkeys((*names, "numpy", "fastrnn"))}
        for name in names:
            try:
                self._processes[name].ask("make", Case(Shape(2, 3, 4, 5)))
                self.versions[name] = self._processes[name].ask("version")
            except Exception as why:
                self.missing[name] = str(why).partition("\n")[0]
        self.names = [name for name in names if name not in self.missing]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *unused: object) -> None:
        for process in self._processes.values():
            process.close()

    def row(self, name: str, dims: Shape, cell: str, dtype: str, mode: str) -> Row:
        """Time one workload. A peer that cannot do it or does it wrongly is left out, and why is noted.

        Raises
        ------
        ArithmeticError
            If it is fastrnn that does it wrongly.
        """
        method, ragged = MODES[mode]
        case = Case(dims, cell, ragged, dtype)
        yardstick = self._processes["numpy"]
        yardstick.ask("make", Case(dims, cell, ragged, "float64"))
        _, expected = yardstick.ask("answers", method)
        row = Row(name, dims, cell, dtype, mode, case.flops(method))
        able = []
        for process in (self._processes[peer] for peer in self.names):
            try:
                seconds = process.ask("make", case)
                first = process.ask("answers", method)
                if first is None:
                    continue
                case.check(first[1], expected)
            except Exception as why:
                if process.name == "fastrnn" and isinstance(why, ArithmeticError):
                    raise
                row.notes[process.name] = str(why).partition("\n")[0]
                continue
            row.first_call[process.name] = seconds + first[0]
            able.append(process)
        beside = self._fastrnn_beside(case, method) if "fastrnn" in row.first_call else []
        seconds = self._take_turns([*able, *beside], method, dtype)
        row.own = {process.label: seconds.pop(process.label) for process in beside}
        row.seconds = seconds
        row.peak_gflops = self._peak[dtype]  # what disturbs the machine for a moment would lower that of this row
        return row

    def _fastrnn_beside(self, case: Case, method: str) -> list[Process]:
        """Make fastrnn ready for what its time for the case is compared with, each in a process of its own."""
        others = {
            "one thread": (case, self.threads > 1),
            "all steps": (replace(case, ragged=False), case.ragged),
            "float32": (replace(case, dtype="float32"), case.dtype == "float64"),
        }
        ready = []
        for label, (other, is_asked_for) in others.items():
            if not is_asked_for:
                continue
            if label not in self._processes:
                self._processes[label] = Process("fastrnn", 1 if label == "one thread" else self.threads, label)
            process = self._processes[label]
            process.ask("make", other)
            process.ask("answers", method)
            ready.append(process)
        return ready

    def _take_turns(self, processes: Sequence[Process], method: str, dtype: str) -> dict[str, float]:
        """Time each, round by round and each alone on the machine; the peak too."""
        effort = self.effort
        best: dict[str, float] = {}
        everyone, yardstick = self._processes.values(), self._processes["fastrnn"]
        calls, rounds = {}, {}
        for p in processes:
            time.sleep(SETTLE)
            p.ask("time", method, 1)
            seconds = max(p.alone(everyone, "time", method, 1), 1e-7)
            best[p.label] = seconds
            calls[p.label] = max(1, int(effort.seconds / effort.rounds / seconds))
            rounds[p.label] = min(effort.rounds, max(2, int(effort.most_seconds / seconds)))
        for i in range(effort.rounds):
            self._peak[dtype] = max(self._peak[dtype], yardstick.alone(everyone, "peak", dtype))
            for p in processes:
                if i >= rounds[p.label]:
                    continue
                time.sleep(SETTLE)
                if best[p.label] < LONG:
                    p.ask("time", method, 1)
                best[p.label] = min(best[p.label], p.alone(everyone, "time", method, calls[p.label]))
        return best
