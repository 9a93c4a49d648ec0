"""Several processes behind one socket, and one set of metrics.

uvicorn's supervisor starts them, hears signals and goes round them twice a second. Ours is what it
cannot do:

- a bundle that cannot be served is said once, and ends all, but only if no worker ever served:
  later the others go on, and the one that died is tried again after longer and longer pauses;
- a worker whose *event loop* stands still is replaced. uvicorn's pings are answered by a thread of
  their own, which goes on while no request does;
- they drain together, and one that does not stop is killed;
- what a dead worker has counted is kept, and what only a live one has is not;
- SIGHUP is for the workers, which load their bundle anew: no process is restarted;
- a parent that was killed outright leaves no worker behind;
- one process more may have the model for all (engine.py): it begins first, and ends last.

Pages of the bundle's tables are shared: every worker maps the same files.
"""

import gc
import logging
import signal
import socket
import tempfile
import time
from pathlib import Path

import uvicorn
from uvicorn.supervisors.multiprocess import Multiprocess

from service.process.accept import refuse_new
from service.process.child import Child, Pauses
from service.process.engine import EngineKeeper
from service.process.server import serve, where
from service.process.slots import Slot, slots
from service.settings import Settings
from service.shared_metrics import forget_worker, sharing

log = logging.getLogger("bbqrec")
_LOOK = 0.1  # seconds between looks at workers that stop
_GRACE = 5.0  # seconds that a worker may take to stop, beyond its drain and deadline


class Worker(Child):
    """One process. engine_socket: of the process that has the model; None: it has its own."""

    def __init__(
        self,
        config: uvicorn.Config,
        listener: socket.socket,
        settings: Settings,
        slot: Slot,
        engine_socket: Path | None,
    ) -> None:
        self.settings = settings
        self.engine_socket = engine_socket
        super().__init__(config, listener, slot)

    def serve(self, listener: socket.socket) -> None:
        """In the process."""
        serve(self.settings, listener, lambda: None, self.slot, self.engine_socket)


class Workers(Multiprocess):
    """Starts ``settings.workers`` processes, replaces one that dies, stops them all together."""

    processes: list[Worker]  # type: ignore[assignment]

    def __init__(self, settings: Settings, listener: socket.socket) -> None:
        super().__init__(
            uvicorn.Config("", workers=settings.workers, log_config=None, log_level="warning"),
            [listener],
        )
        self.settings = settings
        self.listener = listener
        self.slots = slots(settings.workers)
        self.due: dict[int, float] = {}  # when a worker is to be started again, by its slot
        self.pauses = Pauses()
        self.folder = tempfile.TemporaryDirectory(prefix="bbqrec-")  # for this user alone
        shared = settings.engine == "shared"
        folder = Path(self.folder.name)
        self.keeper = EngineKeeper(self.config, settings, folder) if shared else None
        self.served = False  # at least one has got ready
        self.complete = False  # all of them have, and it was said
        self.fault: Exception | None = None

    def run(self) -> None:
        """Serve until a signal.

        Raises one of FAULTS where nothing can be served.
        """
        gc.collect()
        gc.freeze()  # a collection of a worker would make pages its own that all share
        with self.folder as folder, sharing(folder):
            try:
                super().run()
            finally:
                for worker in self.processes:  # none is left, unless this is because of a fault
                    worker.end()
                if self.keeper is not None:
                    self.keeper.close()
        if self.fault is not None:
            raise self.fault

    def init_processes(self) -> None:
        """Start all."""
        if self.keeper is not None:
            self.keeper.start()
        for slot in self.slots:
            self._start(slot)

    def keep_subprocess_alive(self) -> None:
        """Look at each, start those that are due, say once that all are ready."""
        if self.keeper is not None and not self.should_exit.is_set():
            died = self.keeper.look()
            if died is not None and not self.served:
                self._give_up(OSError(died))
                return
        for worker in list(self.processes):
            self.served = self.served or worker.slot.ready
            if (silent := worker.slot.silent()) > self.settings.hang_timeout:
                log.warning("worker %s stands still for %.0fs: killed", worker.pid, silent)
                worker.end()
            if not worker.process.is_alive() and not self.should_exit.is_set():
                self._bury(worker)
        now = time.monotonic()
        for number in [n for n, due in self.due.items() if due <= now]:
            del self.due[number]
            self._start_again(self.slots[number])
        if not self.complete and all(slot.ready for slot in self.slots):
            self.complete = True
            log.info("ready on %s, %d workers", where(self.listener), self.settings.workers)

    def terminate_all(self) -> None:
        """Have them drain; nobody connects any more when they have."""
        for worker in self.processes:
            worker.tell(signal.SIGTERM)
        until = time.monotonic() + self.settings.drain
        while self._alive() and (left := until - time.monotonic()) > 0:
            time.sleep(min(left, _LOOK))
            self.handle_signals()
        refuse_new(self.listener)
        self.listener.close()

    def join_all(self) -> None:
        """Wait for them, but not for ever."""
        until = time.monotonic() + self.settings.deadline + _GRACE
        while self._alive() and time.monotonic() < until:
            time.sleep(_LOOK)
            self.handle_signals()
        for worker in self._alive():
            log.warning("worker %s does not stop: killed", worker.pid)
            worker.end()
        if self.keeper is not None:
            self.keeper.stop(_GRACE)

    def handle_int(self) -> None:
        """They drain; a second Ctrl+C has them not wait."""
        if self.should_exit.is_set():
            for worker in self.processes:
                worker.tell(signal.SIGINT)
        self.should_exit.set()

    def handle_hup(self) -> None:
        """Have them look at what should serve, and try again what failed."""
        if self.keeper is not None:
            self.keeper.attempts.forget()
        for worker in self.processes:
            if worker.slot.ready:  # one that is starting loads what is there anyway
                worker.tell(signal.SIGHUP)

    def handle_ttin(self) -> None:
        """Not supported: the number of workers is a setting."""

    def handle_ttou(self) -> None:
        """Not supported: the number of workers is a setting."""

    def _start(self, slot: Slot) -> None:
        engine_socket = None if self.keeper is None else self.keeper.path
        worker = Worker(self.config, self.listener, self.settings, slot, engine_socket)
        worker.start()
        self.processes.append(worker)

    def _start_again(self, slot: Slot) -> None:
        try:
            self._start(slot)
        except OSError as error:  # the machine may have room for it later
            self.due[slot.number] = self.pauses.begin(slot, f"a worker cannot be started: {error}")

    def _bury(self, worker: Worker) -> None:
        """Forget one that died; another is due, later if this one never got ready."""
        self.processes.remove(worker)
        forget_worker(worker.pid)
        code, fault = worker.exitcode, worker.fault()
        if not self.served:
            self._give_up(fault or OSError(f"worker {worker.pid} died with status {code}"))
            return
        reason = f"worker {worker.pid}: {fault or f'died with status {code}'}"
        self.due[worker.slot.number] = self.pauses.begin(worker.slot, reason)

    def _give_up(self, fault: Exception) -> None:
        """Nothing can be served."""
        self.fault = fault
        self.should_exit.set()

    def _alive(self) -> list[Worker]:
        return [worker for worker in self.processes if worker.process.is_alive()]
