"""Who asks: what of a request is not in its body."""

from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b
from typing import Annotated

from fastapi import Header, Request
from starlette.types import Scope

from service.engine.batcher import Spent

STICKY, AFTER, ROLE = b"x-sticky-key", b"x-after", b"x-generation"
GONE = "bbqrec.gone"  # where the server's protocol leaves a function that tells
ADMISSION = "bbqrec.admission"  # where it leaves what counts those who wait for an answer
SPENT = "bbqrec.spent"  # where an endpoint leaves what a search took, for the envelope to tell


class Caller:
    """Looks into the request's scope only where somebody wants to know."""

    __slots__ = ("_scope",)

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    @property
    def key(self) -> str | None:
        """What keeps a caller with one generation, where no user is named."""
        return self._header(STICKY)

    @property
    def role(self) -> str | None:
        """Of the generation that is to answer, whoever it would be else."""
        return self._header(ROLE)

    @property
    def name(self) -> str | None:
        """A hash of the key, to tell one caller from others: it may be anything about a person."""
        key = self.key
        return None if key is None else blake2b(key.encode(), digest_size=12).hexdigest()

    @property
    def after(self) -> str | None:
        """The change that the answer has to include, as it was given."""
        return self._header(AFTER)

    def _header(self, wanted: bytes) -> str | None:
        for name, value in self._scope["headers"]:
            if name == wanted:
                return bytes(value).decode("latin-1")
        return None

    def tell(self, spent: Spent) -> None:
        """What a search for this caller took; of several at once, the longest."""
        self._scope[SPENT] = spent.beside(self._scope.get(SPENT, Spent()))

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """One of several requests that came together: it is counted as if it had come alone."""
        admission = self._scope.get(ADMISSION)
        if admission is None:
            yield
            return
        admission.begin()
        try:
            yield
        finally:
            admission.end()

    def gone(self) -> bool:
        """Whether the client has left, as far as the server can tell."""
        tells = self._scope.get(GONE)
        return bool(tells is not None and tells())


async def caller_of(
    request: Request,
    x_sticky_key: Annotated[
        str | None,
        Header(
            description="the same key, such as a session's id, gets answers of the same model, as "
            "the same `user_id` does, which goes before it"
        ),
    ] = None,
    x_after: Annotated[
        str | None,
        Header(description="position of a change to items that the answer must include, or 503"),
    ] = None,
    x_generation: Annotated[
        str | None,
        Header(
            description="current, canary or shadow: who is to answer, to compare them; what comes "
            "of such an answer counts in no experiment"
        ),
    ] = None,
) -> Caller:
    """The caller; the parameters are for the OpenAPI document."""
    return Caller(request.scope)
