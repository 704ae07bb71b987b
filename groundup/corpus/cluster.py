"""The crew on a Ray cluster: each job is a task, done on whatever machine has room, by a crew of one.

All machines see the same folders: the input and the output lie on a file system that they share. Pass 2 runs on Ray
too, through Daft. The result is that of one machine, to the last byte.
"""

from collections.abc import Iterator, Sequence
from contextlib import chdir, contextmanager
from pathlib import Path
from typing import Any

from groundup.corpus.crew import Crew, Work, crew
from groundup.errors import UnsupportedError


class RayCrew(Crew):
    """A crew whose jobs are Ray tasks; `ray_crew(...)` makes one."""

    def __init__(self, item_seconds: float) -> None:
        super().__init__(0, item_seconds)
        import ray

        self._task: Any = ray.remote(num_cpus=1)(_done)

    def run(self, work: Work, payloads: Sequence[Any]) -> Iterator[tuple[int, Any]]:
        """The number and result of each payload, in the order in which they end. Raises what `work` raises."""
        import ray

        waiting = {
            self._task.remote(work, payload, self._item_seconds, str(Path.cwd())): number
            for number, payload in enumerate(payloads)
        }
        try:
            while waiting:
                (ready,), _ = ray.wait(list(waiting), num_returns=1)
                yield waiting.pop(ready), ray.get(ready)
        except ray.exceptions.RayTaskError as error:
            raise error.cause or error from None


@contextmanager
def ray_crew(item_seconds: float, address: str = "") -> Iterator[Crew]:
    """A crew on the cluster at an address; without one on that which RAY_ADDRESS names, else on one started here.

    Raises UnsupportedError where Ray is not installed.
    """
    try:
        import daft
        import ray
    except ImportError:
        raise UnsupportedError("--engine ray: Ray is not installed; `pip install groundup[ray]`") from None
    ray.init(address=address or None, ignore_reinit_error=True, log_to_driver=False)
    daft.set_runner_ray(noop_if_initialized=True)
    try:
        yield RayCrew(item_seconds)
    finally:
        ray.shutdown()


def _done(work: Work, payload: Any, item_seconds: float, folder: str) -> Any:
    """One job, in a process that may crash or hang without harm to the task; paths are relative to the folder."""
    with chdir(folder), crew(1, item_seconds) as hands:
        return next(iter(hands.run(work, [payload])))[1]
