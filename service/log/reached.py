"""Up to which entry of a log all is applied, and who waits for more."""

import asyncio


class Reached:
    """``position``: all entries up to it are applied. For the event loop."""

    def __init__(self) -> None:
        self.position = 0
        self._waiting: dict[asyncio.Future[None], int] = {}

    def reach(self, position: int) -> None:
        """Those who waited for it go on."""
        self.position = position
        for reached, wanted in self._waiting.items():
            if wanted <= position and not reached.done():
                reached.set_result(None)

    async def until(self, position: int) -> None:
        """Wait for all entries up to this one."""
        if position > self.position:
            reached = asyncio.get_running_loop().create_future()
            self._waiting[reached] = position
            try:
                await reached
            finally:
                del self._waiting[reached]
