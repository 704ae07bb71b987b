"""Slurm: a batch file that saves when its time is up or it is pre-empted, and puts itself in the queue again.

job.sbatch   to be submitted from anywhere that shares the run's folder
"""

import shlex
from dataclasses import dataclass

from groundup.launch._base import NOTICE_SECONDS, Job, ask

SCRIPT = """\
#!/bin/bash
# Made by `groundup launch`.
#SBATCH --job-name={label}
#SBATCH --nodes={nodes}
#SBATCH --ntasks-per-node=1
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output={place}/slurm.log
#SBATCH --signal=B:USR1@{notice}
#SBATCH --chdir={folder}
{options}
# USR1 comes before the time is up, TERM before the job is pre-empted: the ranks save and end, and the job waits again.
told=
# Through scancel: srun, told to end, would kill the ranks at once.
tell() {{ told=yes; scancel --signal=TERM "$SLURM_JOB_ID"; }}
trap tell USR1 TERM
first=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
export first
srun --kill-on-bad-exit=0 bash -c {command} &
step=$!
wait "$step"
status=$?
while kill -0 "$step" 2>/dev/null; do
    wait "$step"
    status=$?
done
again=$told
if [ "$status" -ne 0 ] && [ "${{SLURM_RESTART_COUNT:-0}}" -lt {restarts} ]; then again=yes; fi
if [ -n "$again" ]; then scontrol requeue "$SLURM_JOB_ID"; fi
exit "$status"
"""


@dataclass(frozen=True)
class Slurm:
    """`options` are lines for #SBATCH, such as `--time=4:00:00` or `--partition=gpu`."""

    options: tuple[str, ...] = ()

    def files(self, job: Job) -> dict[str, str]:
        """The batch file."""
        return {
            "job.sbatch": SCRIPT.format(
                label=job.label,
                nodes=f"{job.least}-{job.hosts}" if job.least < job.hosts else job.hosts,
                place=job.place,
                folder=job.folder,
                notice=NOTICE_SECONDS,
                options="".join(f"#SBATCH {option}\n" for option in self.options),
                command=shlex.quote("exec " + job.command('"$first"', "$SLURM_NODEID")),
                restarts=job.restarts,
            )
        }

    def submit(self, job: Job) -> str:
        """Submit, unless a job of that name waits or runs. Raises ResourceError."""
        states = "PENDING,RUNNING,CONFIGURING,COMPLETING,SUSPENDED,REQUEUED"
        there = ask(["squeue", "--noheader", "--format=%i %T", f"--name={job.label}", f"--states={states}"], "--slurm")
        if there:
            return f"job {there.splitlines()[0]} is there already; cancel it first to submit another"
        number = ask(["sbatch", "--parsable", str(job.place / "job.sbatch")], "--slurm")
        return (
            f"job {number} is submitted; its log is {job.place / 'slurm.log'}; to end it: scancel --batch --signal=TERM"
        )
