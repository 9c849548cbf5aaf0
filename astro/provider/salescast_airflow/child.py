"""One run of the binary as a child process: its log becomes the task's log, and it never outlives the task."""

import contextlib
import contextvars
import json
import logging
import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from typing import IO

# Airflow kills the task's process 5 s after it asked; the binary leaves within 2.5 s by itself.
GRACE = 3.0
# How often the loop looks: a signal handler may run between two looks.
TICK = 0.1
# Lines are cut to what the log's readers can take.
MAX_LINE = 8192
# How often a growing memory is said, in seconds.
MEMORY_EVERY = 15.0

LEVELS = {
    "trace": logging.DEBUG,
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "error": logging.ERROR,
    "fatal": logging.CRITICAL,
    "panic": logging.CRITICAL,
}


class Child:
    """A running binary. `stop` may be called from a signal handler, at any time and more than once; `wait` then returns soon."""

    def __init__(self, argv: Sequence[str], env: Mapping[str, str], cwd: str, log: logging.Logger) -> None:
        self._log = log
        self._stopped_at: float | None = None
        self._killed = False
        self._peak = 0
        self._said_at = time.monotonic()
        self._said = 0
        self.phase: str | None = None
        # Its own session, so that its whole group can be signalled. Its standard input is a pipe that nobody writes to: when this
        # process dies, however it dies, the binary reads the end of it and leaves.
        self._process = subprocess.Popen(
            argv, env=env, cwd=cwd, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
        )
        streams = ((self._process.stdout, logging.INFO), (self._process.stderr, logging.WARNING))
        self._readers = [self._relay(stream, level) for stream, level in streams if stream is not None]

    def wait(self) -> int:
        """Wait for the end and return the exit code, negative for a signal. Whatever interrupts the wait ends the child first."""
        try:
            return self._wait()
        except BaseException:  # an execution timeout and, in Airflow 2, a termination are no Exceptions
            self.stop()
            self._wait()
            raise
        finally:
            self._signal(signal.SIGTERM)  # what it may have left behind in its group
            for reader in self._readers:
                reader.join(timeout=2)
            if self._process.stdin is not None:
                self._process.stdin.close()

    def stop(self) -> None:
        """Ask the child to end; `wait` kills it when it does not within the grace."""
        if self._stopped_at is None:
            self._stopped_at = time.monotonic()
            self._signal(signal.SIGTERM)

    def _wait(self) -> int:
        while True:
            try:
                return self._process.wait(timeout=TICK)
            except subprocess.TimeoutExpired:
                self._watch_memory()
            if self._stopped_at is not None and not self._killed and time.monotonic() - self._stopped_at > GRACE:
                self._killed = True
                self._log.warning("salescast did not end within %.0f s of being asked to; killing it", GRACE)
                self._signal(signal.SIGKILL)

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    def _watch_memory(self) -> None:
        """Say the peak as it grows, because nobody can say it any more once the kernel has killed the task."""
        now = time.monotonic()
        if now - self._said_at < MEMORY_EVERY:
            return
        self._said_at = now
        with contextlib.suppress(OSError, ValueError, IndexError), open(f"/proc/{self._process.pid}/status", encoding="ascii") as status:
            for line in status:
                if line.startswith("VmHWM:"):
                    self._peak = int(line.split()[1]) >> 10
        if self._peak > 1.1 * self._said:
            self._said = self._peak
            self._log.info("peak memory so far %d MiB%s", self._peak, f", in phase {self.phase}" if self.phase else "")

    def _relay(self, stream: IO[bytes], level: int) -> threading.Thread:
        # A thread does not inherit the context that names the task in the log's records.
        context = contextvars.copy_context()
        thread = threading.Thread(target=context.run, args=(self._read, stream, level), daemon=True)
        thread.start()
        return thread

    def _read(self, stream: IO[bytes], level: int) -> None:
        with stream:
            rest = False
            while line := stream.readline(MAX_LINE):
                if not rest and line.strip():
                    self._log.log(*self._parse(line.decode("utf-8", "replace").rstrip(), level))
                rest = not line.endswith(b"\n")  # of a line that was cut

    def _parse(self, text: str, level: int) -> tuple[int, str, str]:
        """Return the arguments for a logger. A line that is no JSON object, such as a panic's, is passed on as it is."""
        try:
            record = json.loads(text)
        except ValueError:
            record = None
        if not isinstance(record, dict):
            return level, "%s", text
        level = LEVELS.get(record.pop("level", "info"), logging.INFO)
        record.pop("time", None)
        if isinstance(record.get("phase"), str):
            self.phase = record["phase"]
        words = [str(record.pop("message", ""))]
        words += [f"{name}={value if isinstance(value, str) else json.dumps(value)}" for name, value in record.items()]
        return level, "%s", " ".join(word for word in words if word)
