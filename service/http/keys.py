"""Who may do what is not for everybody: whoever has the key, or sits at this machine."""

import secrets
from ipaddress import ip_address

from fastapi import HTTPException, Request
from fastapi.security import HTTPBearer
from pydantic import SecretStr

_FORWARDED = "forwarded", "x-forwarded-for"


def _documented(name: str, setting: str, without: str) -> HTTPBearer:
    """For the OpenAPI document: it refuses nothing, that is for what is below."""
    told = f"The key of {setting}. Without that setting {without}."
    return HTTPBearer(scheme_name=name, description=told, auto_error=False)


_LOCAL = "there is none to send, and only this machine may"
ITEMS_KEY = _documented("ItemsKey", "BBQREC_ITEMS_KEY", _LOCAL)
EVENTS_KEY = _documented("EventsKey", "BBQREC_EVENTS_KEY", _LOCAL)
ADMIN_KEY = _documented("AdminKey", "BBQREC_ADMIN_KEY", "there is no such path")


def check_key(request: Request, key: SecretStr | None) -> None:
    """Raises HTTPException 401 without ``Authorization: Bearer KEY``; nobody has no key."""
    given = request.headers.get("authorization", "").removeprefix("Bearer ")
    wanted = None if key is None else key.get_secret_value().encode()
    if wanted is None or not secrets.compare_digest(given.encode("utf-8", "replace"), wanted):
        detail = "send the key: Authorization: Bearer KEY"
        raise HTTPException(401, detail, {"www-authenticate": "Bearer"})


def check_write(request: Request, key: SecretStr | None) -> None:
    """With a key, those who have it; without one, those of this machine. Raises HTTPException."""
    if key is None:
        check_local(request)
    else:
        check_key(request, key)


def check_local(request: Request) -> None:
    """Raises HTTPException 403 unless the peer is this machine, and no proxy of anybody else."""
    client = request.client
    proxied = any(name in request.headers for name in _FORWARDED)
    if proxied or client is None or not _loopback(client.host):
        raise HTTPException(403, "only from this machine, unless a key is set")
    if _may_be_foreign(request.headers.get("host", "")):
        raise HTTPException(403, "only as localhost or by an address, unless a key is set")


def _loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _may_be_foreign(host: str) -> bool:
    """Whether a site may have this name, and a browser of this machine show a page of that site.

    Whoever owns a name may have it lead here: then the browser takes what that page asks for as
    asked of its own site. Addresses, and names without a dot, are nobody's.
    """
    name = host.partition(":")[0]
    if "." not in name or name.endswith(".localhost"):
        return False
    try:
        ip_address(name)
    except ValueError:
        return True
    return False
