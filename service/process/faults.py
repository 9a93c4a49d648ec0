"""A fault of set-up is one clear line, never a traceback."""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from pydantic import ValidationError
from pydantic_settings import SettingsError
from rich.console import Console

from models.contract.bundle import BundleError
from service.http.scenarios import ScenarioError
from service.runtime import ProviderError

FAULTS = BundleError, ProviderError, ScenarioError, OSError  # of set-up, beside the settings' own
_console = Console(stderr=True)


@contextmanager
def exit_clearly() -> Iterator[None]:
    """Exit with status 1 and say what to mend, where settings, bundle, GPU or port are at fault."""
    try:
        yield
    except ValidationError as error:
        faults = (
            f"BBQREC_{'.'.join(map(str, f['loc'])).upper()}: {f['msg']}" for f in error.errors()
        )
        _fail("settings: " + "; ".join(faults))
    except SettingsError as error:
        (name,) = re.findall(r'"(\w+)"', str(error))[:1] or ["?"]
        _fail(f'settings: BBQREC_{name.upper()}: should be JSON, such as ["view", "cart"]')
    except FAULTS as error:
        _fail(str(error))


def _fail(message: str) -> None:
    _console.print("[bold red]error:[/]", end=" ")
    _console.print(message, markup=False, highlight=False, soft_wrap=True)
    sys.exit(1)
