"""What only an operator may do; there is no such route unless a key is configured."""

from fastapi import APIRouter, Depends, Request, Security

from service.http.keys import ADMIN_KEY, check_key
from service.http.problems import documented
from service.http.routes import CurrentState
from service.http.schemas import Reloaded

admin = APIRouter(prefix="/admin")


async def authorized(request: Request, state: CurrentState) -> None:
    """Raises HTTPException 401 without ``Authorization: Bearer KEY``."""
    check_key(request, state.settings.admin_key)


@admin.post(
    "/reload",
    dependencies=[Depends(authorized), Security(ADMIN_KEY)],
    responses=documented({401: "The key is missing or wrong"}),
)
async def reload(state: CurrentState) -> Reloaded:
    """Look at the folder now, and try again what failed; other workers do the same at once."""
    state.tell_others()
    await state.follower.reload()
    return Reloaded(workers=state.workers())
