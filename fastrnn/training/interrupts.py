"""Ctrl-C during training: a step that changes the model is finished first."""

import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Self


class WholeSteps:
    """Within it, a signal of Ctrl-C waits while `changing` is true, and is delivered by `done`.

    Only the main thread can be interrupted, so elsewhere there is nothing to do; and where a program ignores the signal
    or has left it to C code, it stays so.
    """

    def __init__(self) -> None:
        self.changing = False
        self._pending: tuple[int, FrameType | None] | None = None
        self._before: Any = None

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            before = signal.getsignal(signal.SIGINT)
            if callable(before):
                self._before = before
                signal.signal(signal.SIGINT, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)
        self.done()

    def done(self) -> None:
        """Say that the change is made."""
        self.changing = False
        if self._pending is not None:
            pending, self._pending = self._pending, None
            self._deliver(*pending)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.changing:
            self._pending = number, frame
        else:
            self._deliver(number, frame)

    def _deliver(self, number: int, frame: FrameType | None) -> None:
        self._before(number, frame)
