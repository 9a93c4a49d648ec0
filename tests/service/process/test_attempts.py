"""A bundle that the engine process ends of is not tried for ever."""

from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from service.process.attempts import Attempts
from service.runtime import ProviderError

LEFT: list[
    AbstractContextManager[None]
] = []  # as they were begun: were they collected, they would end


def die(attempts: Attempts, bundle: Path, times: int) -> None:
    for _ in range(times):
        LEFT.append(attempts.attempt(bundle))
        LEFT[-1].__enter__()


def load(attempts: Attempts, bundle: Path) -> None:
    with attempts.attempt(bundle):
        pass


def test_it_is_refused_after_three_ends_until_somebody_asks(tmp_path: Path) -> None:
    attempts, bundle = Attempts(tmp_path), Path("/bundles/new")
    die(attempts, bundle, 3)
    for _ in range(2):
        with pytest.raises(ProviderError, match="3 times"):
            load(Attempts(tmp_path), bundle)
    load(attempts, Path("/bundles/another"))
    attempts.forget()
    load(attempts, bundle)


def test_one_that_could_be_loaded_once_is_never_refused(tmp_path: Path) -> None:
    attempts, bundle = Attempts(tmp_path), Path("/bundles/serves")
    die(attempts, bundle, 2)
    load(attempts, bundle)
    die(attempts, bundle, 9)
    load(attempts, bundle)


def test_only_what_ends_the_process_is_counted(tmp_path: Path) -> None:
    attempts, bundle = Attempts(tmp_path), Path("/bundles/new")
    for _ in range(9):
        with pytest.raises(ArithmeticError), attempts.attempt(bundle):
            raise ArithmeticError("no numbers")
