"""The models that the page has open: for a run and stage, opened when asked for, closed when others need the room.

They are served like any other, so that OpenAI's clients can ask for them too, by `RUN/STAGE`.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from fastapi import FastAPI

from groundup.dialogue import Dialogue
from groundup.errors import StoreError
from groundup.report.gather import gather
from groundup.serve.served import Served

MOST_OPEN = 4
"""Models that stay open unused; a run has three of them to compare."""

Opener = Callable[[str, str], Dialogue]
"""The model of a run and stage, opened."""


@dataclass(eq=False)
class _Open:
    model: Served
    fingerprint: str
    users: int = 0
    used: float = field(default_factory=time.monotonic)


class Pool:
    """The open models. All methods are called from the event loop."""

    def __init__(self, app: FastAPI, runs: Path, open_model: Opener) -> None:
        self._app, self._runs, self._open_model = app, runs, open_model
        self._open: dict[str, _Open] = {}
        self._lock = asyncio.Lock()

    @asynccontextmanager
    async def use(self, run: str, stage: str) -> AsyncIterator[Served]:
        """The model of a run's stage, which stays open meanwhile. Raises StoreError when the stage is not done."""
        async with self._lock:
            one = await self._find(run, stage)
            one.users += 1
        try:
            yield one.model
        finally:
            one.users -= 1
            one.used = time.monotonic()

    async def _find(self, run: str, stage: str) -> _Open:
        name = f"{run}/{stage}"
        artifact = (await asyncio.to_thread(lambda: gather(self._runs / run).artifacts)).get(stage)
        if artifact is None:
            raise StoreError(f"run {run!r}: its {stage} stage is not done; choose another stage")
        old = self._open.get(name)
        if old is not None and old.fingerprint == artifact.fingerprint:
            return old
        await self._make_room(name)
        dialogue = await asyncio.to_thread(self._open_model, run, stage)
        state = self._app.state
        one = _Open(
            await asyncio.to_thread(Served, name, dialogue, state.limits, state.telemetry), artifact.fingerprint
        )
        one.model.start()
        self._open[name], state.models[name] = one, one.model
        return one

    async def _make_room(self, name: str) -> None:
        """Close what was made anew since, then what nobody uses, the longest unused first."""
        idle = sorted((one.used, key) for key, one in self._open.items() if one.users == 0)
        out = [key for _, key in idle[: max(0, len(self._open) + 1 - MOST_OPEN)]]
        for key in {*out, *({name} & set(self._open))}:
            one = self._open.pop(key)
            del self._app.state.models[key]
            await asyncio.to_thread(one.model.stop)
