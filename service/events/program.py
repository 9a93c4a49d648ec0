"""``python -m service.events.program``: the process that stores events, beside those that serve."""

import logging
import os
import sys
import threading

from service.events.storing import NOT_INSTALLED, Storing
from service.log.disk import held
from service.log.log import LogError

log = logging.getLogger("bbqrec")
_NICE = 10  # whoever waits for an answer goes first


def main() -> int:
    """Store until whoever started this ends, and once more: its standard input says what, and then
    stays open.
    """
    logging.basicConfig(level=logging.INFO, format="%(levelname)s:     %(message)s")
    os.nice(_NICE)
    storing = Storing.model_validate_json(sys.stdin.readline())
    try:
        from polars.exceptions import PolarsError

        from service.events.store import open_store
    except ImportError:
        return NOT_INSTALLED
    ended = threading.Event()

    def wait_for_end() -> None:
        sys.stdin.read()
        ended.set()

    threading.Thread(target=wait_for_end, daemon=True).start()
    with held(storing.folder / "storing", wait=False) as mine:
        store, last = None, False
        while mine and not last:  # else another process is at it
            last = ended.is_set()  # what has come until then is stored, too
            try:
                store = store or open_store(storing)
                store.run()
            except (LogError, OSError, PolarsError) as error:
                log.error("events cannot be stored now: %s", error)
                if store is not None:
                    store.close()  # its reader has passed over what was not stored
                store = None
            ended.wait(storing.every)
    return 0


if __name__ == "__main__":
    sys.exit(main())
