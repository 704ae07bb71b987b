"""The one typed tree of a run's settings: what a recipe file holds, and what the planner fills in.

Precedence: what the user wrote (recipe, then command line) > what the planner filled in > the defaults below.
Model, optimizer, tokenizer and filters are components: `model = "llama"` picks the file `models/llama.py`.
"""

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from groundup.config import Component, Config, Folder
from groundup.corpus.settings import Corpus
from groundup.errors import ConfigError
from groundup.parallel.settings import Parallel

Seconds = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Names = Annotated[tuple[str, ...], BeforeValidator(lambda value: value.split(",") if isinstance(value, str) else value)]
"""Names; on the command line with commas between them."""
AnyModel = Annotated[Component, Folder("models", "qwen3")]
AnyOptimizer = Annotated[Component, Folder("optim", "muon")]
AnyTokenizer = Annotated[Component, Folder("tokenizer", "bpe")]
AnyObjective = Annotated[Component, Folder("train.objectives", "likelihood")]


class Phase(Config):
    """A part of pretraining with a mixture of its own: a warm-up, the main part, the last part on the best text."""

    name: str = Field(min_length=1)
    share: float = Field(gt=0, le=1, description="of the steps; those of all phases make 1")
    weights: dict[str, Annotated[float, Field(ge=0)]] = Field(
        default_factory=dict, description="by the label of a --data, in place of its WEIGHT; 0 leaves it out"
    )


class Mix(Config):
    """How much of each `--data` is learnt from: by its size times its WEIGHT, unless this says otherwise."""

    temperature: float = Field(1.0, gt=0, description="above 1 small sources count for more")
    most: float = Field(1.0, gt=0, le=1, description="largest share of one source")
    epochs: float = Field(0.0, ge=0, description="most times that a source is read (needs train.steps); 0: any number")
    phases: tuple[Phase, ...] = Field((), description="mixtures in turn (needs train.steps); none: one for all")

    @model_validator(mode="after")
    def _whole(self) -> Self:
        total = sum(phase.share for phase in self.phases)
        if self.phases and abs(total - 1) > 1e-6:
            raise ConfigError(f"phases: their shares of the steps make {total:g}; let them make 1")
        return self


class Data(Config):
    """What goes in."""

    text: tuple[str, ...] = Field(("python",), description="paths, globs or 'python', each optionally PATH=WEIGHT")
    mix: Mix = Field(default_factory=Mix)
    chat: tuple[str, ...] = Field((), description="conversations: JSONL as OpenAI messages, ShareGPT or Alpaca")
    ranks: str | None = Field(
        None, description="GPT-2's vocab.bpe or r50k_base.tiktoken, to compare the tokenizer with"
    )


class Tokens(Config):
    """From documents to rows of T tokens."""

    isolate: bool = Field(False, description="keep attention and positions inside a document")


class Look(Config):
    """Published benchmarks that are looked at while a stage trains, a dozen times."""

    tasks: Names = Field(min_length=1, description="names or sets, as `groundup eval --tasks` has them")
    data: Names = Field((), description="folders of their records; none: from the hub")
    items: Count = Field(100, description="of each, the same every time")


class Training(Config):
    """One stage of training: optimizer, schedule, batch, and how long."""

    optim: AnyOptimizer = Field("muon", validate_default=True)
    schedule: Literal["wsd", "cosine"] = "wsd"
    warmup: int = Field(20, ge=0, description="steps")
    decay: Share = Field(0.5, description="share of the stage in which the rate falls (wsd)")
    floor: Share = Field(0.0, description="what the rate falls to, as a share of its peak")
    rows: Count = Field(32, description="rows of T tokens in one step, all ranks together")
    micro_rows: Count | None = Field(None, description="rows in one forward; None: all of them")
    steps: int | None = Field(None, ge=0, description="None: the clock decides; 0: the weights stay as they are")
    clip: float = Field(1.0, gt=0, description="largest global gradient norm")
    seed: int = Field(0, description="added to the run's seed, for another order and other draws of this stage alone")
    save_seconds: Seconds = Field(60.0, description="between checkpoints, by the clock")
    save_steps: Count | None = Field(None, description="between checkpoints, by the steps as well")
    look: Look | None = Field(None, description="benchmarks that are looked at on the way")


class Pretrain(Training):
    """Next-token prediction on the user's text."""

    average: float | None = Field(
        None, gt=0, lt=1, description="decay of a running mean of the weights, which the stage then leaves"
    )
    start_length: Count | None = Field(None, description="tokens in a row at first, a divisor of model.length")
    start_steps: Count | None = Field(None, description="steps in which rows have start_length tokens")


class Sft(Training):
    """From a model that continues text to one that answers."""

    optim: AnyOptimizer = Field(
        {"name": "muon", "lr": 0.01, "embed_lr": 0.01, "head_lr": 0.003, "vector_lr": 0.003}, validate_default=True
    )
    rows: Count = 16
    warmup: int = Field(10, ge=0)
    decay: Share = 0.5
    share: Share = Field(0.2, description="of the minutes of a timed run, at most")
    arithmetic: int = Field(1000, ge=0, description="demonstrations of a ± b")
    arithmetic_repeats: Count = Field(8, description="times that each demonstration comes in one epoch")
    conversations: int = Field(8_000, ge=0, description="made by rules from the text, all kinds together")
    patience: Count = Field(3, description="probes of the held-out loss without a new best, then stop")
    probe_steps: Count = Field(40, description="steps between probes of the held-out loss")


class Grpo(Training):
    """Reinforcement on arithmetic, whose answers can be checked (GRPO, arXiv 2402.03300)."""

    optim: AnyOptimizer = Field(
        {"name": "muon", "lr": 2.5e-3, "embed_lr": 1e-4, "head_lr": 1e-4, "vector_lr": 1e-4, "decay": 0.0},
        validate_default=True,
    )
    rows: Count = Field(512, description="roll-outs in one step: prompts times group")
    group: Count = Field(8, description="roll-outs of one prompt")
    warmup: int = Field(10, ge=0)
    decay: Share = 1.0
    share: Share = Field(0.36, description="of the minutes of a timed run, at most")
    clip_ratio: float = Field(0.2, gt=0)
    kl: float = Field(0.0, ge=0, description="weight of the divergence from the SFT model; 0: none")
    max_tokens: Count = Field(36, description="of a reply; the longest demonstration is 28 with its end")
    drawn_rows: Count | None = Field(None, description="roll-outs that are drawn at a time; None: all of them")
    rehearsal: float = Field(
        0.3, ge=0, description="weight of the mean loss on sft's conversations in each step, lest they be forgotten"
    )
    rehearsal_rows: Count = Field(8, description="rows of sft's conversations in each step")


class Adapter(Config):
    """Small trained matrices beside frozen ones, or none."""

    kind: Literal["none", "lora", "dora", "qlora"] = "none"
    rank: Count = 8
    alpha: float = Field(16.0, gt=0, description="the change is scaled by alpha / rank")
    targets: tuple[str, ...] = Field(("*",), min_length=1, description="name patterns of the matrices it changes")
    dropout: float = Field(0.0, ge=0, lt=1, description="of what the adapter reads, while it trains")


class Rollouts(Config):
    """The model's own replies, judged by a reward model."""

    group: Count = Field(8, description="replies to one question")
    max_tokens: Count = Field(64, description="of a reply")
    steps: Count = Field(1, description="optimizer steps with one phase of replies")
    kl: float = Field(0.05, ge=0, description="of the divergence from the first model, off the reward of a token (ppo)")
    unfinished: float = Field(1.0, ge=0, description="off the reward of a reply that does not end by itself")


class Adapt(Training):
    """From the model of another run to one that does as examples say; `groundup finetune` writes this section."""

    data: tuple[str, ...] = Field(
        min_length=1, description="files of examples: JSONL, plain or compressed; PATH=W counts one W times"
    )
    objective: AnyObjective = Field("likelihood", validate_default=True, description="what is wanted of the examples")
    held_out: float = Field(0.1, gt=0, lt=1, description="share of the examples, by the hash of what is asked")
    reward: str | None = Field(None, description="the reward model; `finetune --reward` sets it")
    teacher: str | None = Field(None, description="the model to be like; `finetune --teacher` sets it")
    replay: float = Field(
        0.0, ge=0, lt=1, description="share of rows of the text that the model came from (sft, distill)"
    )
    answers: Literal["unchecked", "same", "number"] = Field(
        "unchecked", description="check replies by the examples' own: their text, or the last number in it"
    )
    tools: Names = Field((), description="run where the model's own replies call them: calculator, python")
    noise: float = Field(0.0, ge=0, description="on embeddings, NEFTune's alpha: 5 in the paper (sft, distill)")
    best_of: Count | None = Field(None, description="learn from the best of so many replies of the model itself")
    rollouts: Rollouts = Field(default_factory=Rollouts)
    folds: int = Field(0, ge=0, description="judge every text by models that learned from the other folds (classify)")
    adapter: Adapter = Field(default_factory=Adapter)
    freeze: tuple[str, ...] = Field((), description="name patterns of parameters that stay as they are")
    epochs: Count = Field(3, description="where neither steps nor minutes say how long")
    warmup: int = Field(5, ge=0)
    patience: Count = Field(3, description="probes of the held-out loss without a new best, then stop (timed stages)")
    probe_steps: Count = Field(20, description="steps between probes of the held-out loss")

    def check(self) -> None:
        """Raises ConfigError where a reward model or a teacher is missing or of no use, or a tool is none."""
        for name in self.tools:
            Folder("tools").find(name)
        taught = "divergence" in getattr(self.objective, "asks", ())
        wanted = getattr(self.objective, "learns_from", "")
        judged = self.best_of is not None or (wanted == "rollouts" and not taught)
        if judged and self.reward is None and self.answers == "unchecked":
            raise ConfigError(
                "adapt.reward: the model's own replies need a reward model to judge them; give --reward RUN, or "
                "adapt.answers=same (or number) where the examples hold the right ones"
            )
        if (self.teacher is not None) != taught:
            raise ConfigError(
                f"adapt.teacher: {self.objective.name} {'has no use for' if self.teacher else 'needs'} one; "
                "distill and gkd learn from a teacher: --method distill --teacher RUN"
            )
        if self.folds == 1 or (self.folds and wanted != "labels"):
            raise ConfigError(f"adapt.folds: {self.folds} with {self.objective.name}; 2 or more, and classify only")
        for name in ("replay", "noise"):
            if getattr(self, name) and wanted != "conversations":
                raise ConfigError(f"adapt.{name}: is of sft and distill, not of {self.objective.name}; set it to 0")
        if self.reward is not None and not judged:
            raise ConfigError(f"adapt.reward: {self.objective.name} learns from what the examples say; leave it out")


class Safety(Config):
    """What is done in every stage of training so that nothing is lost (docs/resume.md)."""

    keep: Count = Field(2, description="newest checkpoints of a stage")
    milestones: Count | None = Field(None, description="steps between checkpoints that are kept for good")
    to: str | None = Field(None, description="URL of a folder for the checkpoints; None: in the run's own folder")
    spike: float = Field(8.0, gt=0, description="robust deviations above the losses before it that make a loss a spike")
    window: Annotated[int, Field(ge=32)] = Field(128, description="losses that a spike is measured against")
    rollbacks: int = Field(3, ge=0, description="times that a stage goes back to a good checkpoint, at most")
    stall_seconds: Seconds = Field(1800.0, description="without progress, after which the process ends itself")


class Elastic(Config):
    """What a launched run does when machines are lost."""

    min_hosts: Count | None = Field(None, description="goes on with so many; None: waits for all of them")


class Evaluation(Config):
    """What is measured at the end."""

    arithmetic: int = Field(500, ge=0, description="held-out problems")
    passages: int = Field(200, ge=0, description="held-out questions on held-out documents")
    functions: int = Field(512, ge=0, description="held-out functions to write (code only)")
    yardsticks: bool = Field(True, description="xz and PPMd on the same bytes")


class Recipe(Config):
    """Every setting of a run."""

    seed: int = 1
    minutes: float | None = Field(None, gt=0, description="the one dial: the whole command, in minutes")
    imported: str | None = Field(None, description="the model that the run goes on from; import and finetune set it")
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    data: Data = Field(default_factory=Data)
    corpus: Corpus = Field(default_factory=Corpus)
    tokenizer: AnyTokenizer = Field("bpe", validate_default=True)
    tokens: Tokens = Field(default_factory=Tokens)
    model: AnyModel = Field("qwen3", validate_default=True)
    train: Pretrain = Field(default_factory=Pretrain)
    sft: Sft = Field(default_factory=Sft)
    grpo: Grpo = Field(default_factory=Grpo)
    safety: Safety = Field(default_factory=Safety)
    elastic: Elastic = Field(default_factory=Elastic)
    parallel: Parallel = Field(default_factory=Parallel)
    deterministic: bool = Field(False, description="only what repeats to the bit on one machine; slower on a GPU")
    adapt: Adapt | None = Field(None, description="in place of the stages from the corpus to grpo")
    eval: Evaluation = Field(default_factory=Evaluation)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.train.steps == 0 and self.imported is None:
            raise ConfigError("train.steps: 0 leaves the weights as they are, and these are random; use 1 or more")
        if self.adapt is not None and self.imported is None:
            raise ConfigError("adapt: there is no model to go on from; `groundup finetune RUN --data FILE` brings it")
        if self.adapt is not None:
            self.adapt.check()
        return self
