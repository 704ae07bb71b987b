"""Inside a Ray job, as `python -m groundup.launch._on_ray FILE`: a task on each reserved host runs torchrun there."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any


def main(path: Path) -> int:
    """Reserve the hosts, run the command on all of them, and wait; the first exit status that is not zero."""
    import ray
    from ray.util.placement_group import placement_group
    from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

    needs: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    ray.init(address="auto", log_to_driver=True)
    spread = "STRICT_SPREAD" if needs["hosts"] > 1 else "PACK"
    group = placement_group([needs["each"]] * needs["hosts"], strategy=spread)
    ray.get(group.ready())

    def address() -> str:
        return str(ray.util.get_node_ip_address())

    def host(first: str, number: int) -> int:
        shell = ["bash", "-c", f"first={first}; number={number}; {needs['command']}"]
        return subprocess.run(shell, cwd=needs["folder"], check=False).returncode

    def on(index: int, task: Callable[..., Any]) -> Any:
        there = PlacementGroupSchedulingStrategy(placement_group=group, placement_group_bundle_index=index)
        resources = {"num_cpus": needs["each"].get("CPU", 0), "num_gpus": needs["each"].get("GPU", 0)}
        return ray.remote(task).options(max_retries=0, scheduling_strategy=there, **resources)

    first = ray.get(on(0, address).remote())
    ended: list[int] = ray.get([on(index, host).remote(first, index) for index in range(needs["hosts"])])
    return next((status for status in ended if status), 0)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
