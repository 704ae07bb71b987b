"""What each technique teaches in the same time: bits per byte on text that is not the reported validation text.

    python bench/techniques.py RUN FOLDER [--runs DIR] [--seconds 90] [--noise 3] [--best 8] [--pairs 5]
                               [--pair-seconds 180] [--only NAME ...] [--list]

RUN is a finished run: the training split of its corpus is the text, of which a part is held out again, so that the
run's own held-out text is never looked at. First the control with `--noise` seeds, then each technique of
`techniques.toml` with one seed, every arm a whole `groundup run` of so many seconds of training; then the `--best` of
them, and the control, for `--pair-seconds` with `--pairs` seeds, in blocks that hold each once. Every finished arm is
a line of FOLDER/results.jsonl: stopped, the same command goes on. Prints the effects, paired by seed, with their
intervals; what is smaller than the noise says so.
"""

import argparse
import json
import subprocess
import sys
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import stdev
from typing import Any

from groundup.cli.ablate import SKIPPED
from groundup.corpus.refine import documents
from groundup.eval.interval import student
from groundup.store import Store

TECHNIQUES = Path(__file__).with_suffix(".toml")
CONTROL, SHAPE = "control", "shape"
FIRST_SEED = 11
OVERHEAD = 25.0
"""Seconds of a run that are not training: imports, corpus, vocabulary, ids, the measurement at the end."""

Arm = tuple[str, int, float]
"""Technique, seed, seconds."""


def main() -> None:
    """Screen, pair, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--seconds", type=float, default=90.0)
    parser.add_argument("--noise", type=int, default=3, help="seeds of the control, for the noise")
    parser.add_argument("--best", type=int, default=8, help="techniques that are paired; 0: none")
    parser.add_argument("--pairs", type=int, default=5, help="seeds of each")
    parser.add_argument("--pair-seconds", type=float, default=180.0)
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these techniques alone")
    parser.add_argument("--list", action="store_true", help="name the techniques and do nothing")
    args = parser.parse_args()
    table = {name: entry["settings"] for name, entry in tomllib.loads(TECHNIQUES.read_text(encoding="utf-8")).items()}
    shape = table.pop(SHAPE)
    names = [name for name in table if name != CONTROL and (args.only is None or name in args.only)]
    if args.list:
        print("\n".join(f"{name:<24} {' '.join(table[name])}" for name in names))
        return
    args.folder.mkdir(parents=True, exist_ok=True)
    bench = Screening(args.folder, {name: [*shape, *settings] for name, settings in table.items()})
    bench.prepare(args.runs, args.run)
    bench.play([(CONTROL, FIRST_SEED + seed, args.seconds) for seed in range(args.noise)])
    bench.play([(name, FIRST_SEED, args.seconds) for name in names])
    effects = bench.screened(names, args.seconds)
    noise = bench.noise(args.seconds)
    print(f"\nscreened, {args.seconds:.0f} s, one seed; noise of one difference {noise:.4f} (standard deviation)")
    for name, effect in effects:
        print(f"  {name:<24} {effect:+.4f}{'' if abs(effect) > 2 * noise else '   below the noise'}")
    chosen = [name for name, _ in effects[: args.best]]
    if not chosen:
        return
    for seed in range(args.pairs):
        bench.play([(name, FIRST_SEED + seed, args.pair_seconds) for name in (CONTROL, *chosen)])
    print(f"\npaired, {args.pair_seconds:.0f} s, {args.pairs} seeds: difference in bits per byte, 95 % interval")
    for name in chosen:
        print(f"  {name:<24} {bench.paired(name, args.pairs, args.pair_seconds)}")


class Screening:
    """Arms that are done and arms to do, in one folder."""

    def __init__(self, folder: Path, settings: Mapping[str, Sequence[str]]) -> None:
        self.folder, self.settings = folder, settings
        self._file = folder / "results.jsonl"
        self.found: dict[Arm, dict[str, Any]] = {}
        if self._file.exists():
            for line in self._file.read_text(encoding="utf-8").splitlines():
                row = json.loads(line)
                self.found[row["name"], row["seed"], row["seconds"]] = row

    def prepare(self, runs: Path, name: str) -> None:
        """Write the training split of a run's corpus as the text of all arms, once."""
        text = self.folder / "text.jsonl"
        if text.exists():
            return
        corpus = Store.open(runs, name).current()["corpus"].path / "corpus"
        with (partial := text.with_suffix(".partial")).open("w", encoding="utf-8") as file:
            for document in documents(corpus, "train"):
                file.write(json.dumps({"id": document.id, "text": document.text}) + "\n")
        partial.rename(text)

    def play(self, arms: Sequence[Arm]) -> None:
        """Run the arms that are not done, in order; each is written down when it is."""
        for name, seed, seconds in arms:
            if (name, seed, seconds) in self.found:
                continue
            row = {"name": name, "seed": seed, "seconds": seconds, **self._run(name, seed, seconds)}
            self.found[name, seed, seconds] = row
            with self._file.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
            said = row.get("failure") or f"{row['bits']:.4f} bits per byte, {row['tokens'] / 1e6:.2f} M tokens"
            print(f"{name}, seed {seed}, {seconds:.0f} s: {said}", flush=True)

    def _run(self, name: str, seed: int, seconds: float) -> dict[str, Any]:
        settings = [f"seed={seed}", *SKIPPED, *self.settings[name]]
        command = [
            sys.executable, "-m", "groundup", "run", "--data", str(self.folder / "text.jsonl"), "--name",
            f"{name}-{seed}-{seconds:.0f}", "--runs", str(self.folder / "runs"), "--quiet", "--json", "--minutes",
            f"{(seconds + OVERHEAD) / 60:.4f}", *settings,
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            return {"failure": done.stderr.strip().splitlines()[-1][:300], "bits": float("nan"), "tokens": 0}
        facts = json.loads(done.stdout)["facts"]
        trained = facts["pretrain"]
        return {
            "bits": facts["eval"]["bits_per_byte"]["value"],
            "tokens": trained["tokens"],
            "trained_seconds": trained["seconds"],
        }

    def bits(self, arm: Arm) -> float:
        """Bits per byte of a finished arm; not a number where it failed."""
        return float(self.found[arm]["bits"])

    def noise(self, seconds: float) -> float:
        """The standard deviation of a difference between two runs that differ in their seed alone."""
        controls = [self.bits(arm) for arm in self.found if arm[0] == CONTROL and arm[2] == seconds]
        return stdev(controls) * 2**0.5 if len(controls) > 1 else float("inf")

    def screened(self, names: Sequence[str], seconds: float) -> list[tuple[str, float]]:
        """The difference of each technique to the control with its seed, the best first; without those that failed."""
        control = self.bits((CONTROL, FIRST_SEED, seconds))
        effects = [(name, self.bits((name, FIRST_SEED, seconds)) - control) for name in names]
        return sorted((pair for pair in effects if pair[1] == pair[1]), key=lambda pair: pair[1])

    def paired(self, name: str, pairs: int, seconds: float) -> str:
        """The mean difference over the seeds, and what to think of it."""
        seeds = range(FIRST_SEED, FIRST_SEED + pairs)
        gaps = [self.bits((name, seed, seconds)) - self.bits((CONTROL, seed, seconds)) for seed in seeds]
        whole = [gap for gap in gaps if gap == gap]
        if not whole:
            return "failed"
        found = student(whole)
        verdict = "" if found.high < 0 or found.low > 0 else "   below the noise"
        return f"{found.value:+.4f} [{found.low:+.4f}, {found.high:+.4f}]{verdict}"


if __name__ == "__main__":
    main()
