"""A list of machines, over ssh: torchrun on each, in the background, with its log in the run's folder.

hosts.sh     what each machine does; a second launch finds the first one at work and leaves it there
"""

import shlex
from dataclasses import dataclass

from groundup.launch._base import Job, ask

SCRIPT = """\
#!/bin/bash
# Made by `groundup launch`. On each host: bash hosts.sh INDEX start|stop
cd {folder} || exit 1
pid={place}/host-$1.pid
mine() {{ [ -s "$pid" ] && ps -o args= -p "$(cat "$pid")" 2> /dev/null | grep -q -e "--rdzv-id={label} "; }}
if [ "$2" = stop ]; then
    mine && kill "$(cat "$pid")" && echo stopped
    exit 0
fi
mine && {{ echo "runs already"; exit 0; }}
setsid nohup {command} >> {place}/host-$1.log 2>&1 < /dev/null &
echo $! > "$pid"
echo started
"""


@dataclass(frozen=True)
class Hosts:
    """Machines that `ssh`, the words of a command, reaches without a question."""

    names: tuple[str, ...]
    ssh: tuple[str, ...] = ("ssh", "-o", "BatchMode=yes")

    def files(self, job: Job) -> dict[str, str]:
        """One script, for all hosts."""
        quoted = {"folder": shlex.quote(str(job.folder)), "place": shlex.quote(str(job.place))}
        command = job.command(self.names[0].rpartition("@")[2], "$1")
        return {"hosts.sh": SCRIPT.format(command=command, label=job.label, **quoted)}

    def submit(self, job: Job) -> str:
        """Start each host, the first one first; those at work already are left alone. Raises ResourceError."""
        script = shlex.quote(str(job.place / "hosts.sh"))
        told = [
            f"{host}: {ask([*self.ssh, host, f'bash {script} {index} start'], f'--hosts {host}')}"
            for index, host in enumerate(self.names)
        ]
        stop = f"ssh {self.names[0]} bash {script} 0 stop"
        return f"{', '.join(told)}; logs are in {job.place}; to stop it, saved first: {stop}"
