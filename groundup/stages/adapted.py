"""What adapting a model has changed: on the held-out examples, in what it says, and on the text held out from it."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from groundup.corpus.conversation import Conversation
from groundup.corpus.preference import Pair
from groundup.stages._given import batched, chat_of, opened, with_head
from groundup.stages._measure import scored
from groundup.stages._work import Work
from groundup.stages.adapt import REPLIES
from groundup.stages.answers import answer_facts, checked
from groundup.stages.classes import class_facts
from groundup.stages.examples import Examples, adapting, asked, read_examples
from groundup.stages.incoming import WEIGHTS, held_out_texts
from groundup.stages.judge import Judge
from groundup.stages.numbers import number_facts
from groundup.stages.reinforce import Judged
from groundup.stages.training import autocast_dtype, build_model

if TYPE_CHECKING:
    from numpy import ndarray
    from torch import Tensor

    from groundup.dialogue import Reply
    from groundup.eval.words import Words
    from groundup.models._base import Model
    from groundup.train.batch import Batch

ASKED = 200
"""Held-out questions that the model before and the model after answer, at most."""

ROWS = 64
"""Of these, those that are answered at a time."""

SHOWN = 2
"""Of these, those that are shown with their answers."""

REPLY_TOKENS = 64

CHOSEN, REJECTED = "chosen", "rejected"


def evaluate(work: Work) -> None:
    """Measure the model before and after: bits per byte, held-out examples, and what it answers."""
    found, recipe = read_examples(work.recipe), work.recipe
    pairs = [example for example in found.held_out if isinstance(example, Pair)]
    if found.classes:
        folds = work.needs["folds"].facts["tasks"] if "folds" in work.needs else {}
        work.draft.facts["tasks"] = {**class_facts(work, found), **folds}
        return
    if found.wanted == "numbers":
        work.draft.facts["tasks"] = number_facts(work, found)
        return
    if work.needs["adapt"].facts["outputs"]:
        work.draft.facts["tasks"] = reward_facts(work, pairs, found)
        return
    before, after = opened(work), build_model(recipe, work.path("import"), work.path("adapt"), work.device)
    facts = work.draft.facts
    facts |= language_facts(work, before, after)
    facts["tasks"] = pair_facts(work, before, after, pairs) if pairs else {}
    chat, length = chat_of(work), before.config.length
    questions = [talk for talk in map(asked, found.held_out) if len(chat.prompt(talk)) + REPLY_TOKENS <= length][:ASKED]
    was, now = (replies(work, model, questions) for model in (before, after))
    if pairs and questions:
        facts["tasks"] |= style_facts(was, now, found)
    if questions and "reward" in work.needs:
        facts["tasks"] |= judged_facts(work, was, now)
    said = [(question, [reply.message]) for question, reply in zip(questions, now, strict=True)]
    if (answers := checked(adapting(recipe), found)) is not None:
        told, answered = answer_facts(work, before, after, questions, answers, chat)
        facts["tasks"] |= told
        said = [(question, each.messages) for question, each in answered] or said
    facts["conversation"] = [
        {"role": message.role, "content": message.content + message.call}
        for question, messages in said[:SHOWN]
        for message in (question[-1], *messages)
    ]


def language_facts(work: Work, before: "Model", after: "Model") -> dict[str, Any]:
    """Bits per byte on the text that the first model was held out from, before and after; nothing without any.

    `lost` is by how much they rose, as a share, with the interval of the documents resampled together.
    """
    from groundup.eval.interval import bootstrap
    from groundup.eval.likelihood import likelihood
    from groundup.events import Named

    texts = held_out_texts(work.store)
    if not any(texts):
        return {}
    learned, dtype = chat_of(work).tokenizer, autocast_dtype(work.recipe.precision)
    was, now = (
        likelihood(model, learned, texts, model.config.length, dtype=dtype, progress=Named(work.events, label))
        for model, label in ((before, "likelihood before"), (after, "likelihood after"))
    )
    ratio = bootstrap(now.bits, was.bits)
    lost = {"value": ratio.value - 1, "low": ratio.low - 1, "high": ratio.high - 1}
    return {"bits_per_byte": {**now.facts(), "before": was.bits_per_byte.facts(), "lost": lost}}


def pair_facts(work: Work, before: "Model", after: "Model", pairs: Sequence[Pair]) -> dict[str, Any]:
    """How often the model tells the better reply of a held-out pair.

    By what it has become likelier than before (DPO's implied reward), and by likelihood itself.
    """
    from groundup.train.objectives._segments import totals

    was, now = (
        _leads(work, pairs, lambda batch, model=model: totals(scored(work, model, batch).logp, batch))  # type: ignore[misc]
        for model in (before, after)
    )
    moved = "Pairs whose better reply has gained more on the other than it lost, against the model before, in nats."
    likely = "Pairs whose better reply is likelier than the other, whatever their lengths, in nats."
    return {
        "held-out pairs": _told(now - was, moved),
        "held-out pairs by likelihood": {**_told(now, likely), "before": {**_told(was, likely), "what": "adapting"}},
    }


def reward_facts(work: Work, pairs: Sequence[Pair], found: Examples) -> dict[str, Any]:
    """How often a reward model tells the better reply of a held-out pair; beside it what length and words tell."""
    import numpy as np

    from groundup.eval.interval import bootstrap
    from groundup.eval.words import available
    from groundup.train.checkpoint import load_weights

    model = with_head(build_model(work.recipe, work.path("import"), None, work.device))
    load_weights(model, work.path("adapt") / WEIGHTS)

    def rewards(batch: "Batch") -> "Tensor":
        pooled = scored(work, model, batch, ("pooled",)).pooled
        assert pooled is not None
        return pooled[..., 0]

    about = "Pairs whose better reply has the higher reward; by how much, in nats."
    ours = _leads(work, pairs, rewards)
    facts = {"held-out pairs by reward": _told(ours, about)}
    longer = np.array([float(len(_text(pair.chosen)) - len(_text(pair.rejected))) for pair in pairs])
    longer[np.isnan(ours)] = np.nan  # the same pairs: those that fit
    facts["held-out pairs by length"] = _told(longer, "Pairs whose better reply is the longer one; in characters.")
    if available():
        judge = _words(found)
        better, other = (
            judge.log_odds([_text(getattr(pair, side)) for pair in pairs], CHOSEN) for side in (CHOSEN, REJECTED)
        )
        told = "The same by a bag of words that learned from the same pairs (TF-IDF, logistic regression)."
        words = np.where(np.isnan(ours), np.nan, better - other)
        facts["held-out pairs by words"] = _told(words, told)
        both = ~np.isnan(ours)
        ahead = (ours[both] > 0).astype(float) - (words[both] > 0)
        facts["held-out pairs by reward"]["ahead_of_words"] = bootstrap(ahead).facts()
    return facts


def style_facts(was: "Sequence[Reply]", now: "Sequence[Reply]", found: Examples) -> dict[str, Any]:
    """How many replies sound like the better ones of the training pairs; nothing without scikit-learn.

    The judge is a bag of words, whose own share of right answers on held-out replies stands beside.
    """
    from groundup.eval.interval import wilson
    from groundup.eval.words import available

    if not available():
        return {}
    judge = _words(found)
    texts, labels = _sides([example for example in found.held_out if isinstance(example, Pair)])
    right = [said == label for said, label in zip(judge.predict(texts), labels, strict=True)]
    before, after = (
        [label == CHOSEN for label in judge.predict([reply.message.content for reply in each])] for each in (was, now)
    )
    score = wilson(sum(after), len(after))
    return {
        "replies like the better ones": {
            "about": "Replies to held-out questions that a bag of words takes for the better side of a pair.",
            "score": score.value, "low": score.low, "high": score.high, "n": len(after),
            "before": {"score": sum(before) / len(before), "what": "adapting"},
            "judge": wilson(sum(right), len(right)).facts(),
        }
    }  # fmt: skip


def judged_facts(work: Work, was: "Sequence[Reply]", now: "Sequence[Reply]") -> dict[str, Any]:
    """What the reward model says of the replies before and after, and how far the model has gone from where it was."""
    from groundup.eval.interval import bootstrap, wilson
    from groundup.tokenizer.chat import Ending
    from groundup.train.feeds.rollouts import lay_out

    judge = Judge(work, chat_of(work))
    before, after = (judge([(reply.prompt, reply.ids) for reply in each]) for each in (was, now))
    drawn = [
        Judged(each.ids, each.logps, [True] * len(each.ids), (each.message,), each.ending is Ending.STOPPED, 0.0)
        for each in now
    ]
    batch = lay_out([reply.prompt for reply in now], drawn, 0 * after)
    assert batch.old_logp is not None
    ahead = batch.old_logp - scored(work, opened(work), batch).logp.cpu()
    drift = ahead.masked_fill(batch.weights == 0, 0.0).sum(1).double().numpy()
    better = wilson(int((after > before).sum()), len(after))
    return {
        "reward": {
            "about": "Held-out questions whose reply the reward model likes better than the one of the model before.",
            "score": better.value, "low": better.low, "high": better.high, "chance": 0.5, "n": len(after),
            "margin": bootstrap(after - before).facts(),
            "reward": bootstrap(after).facts(), "reward_before": bootstrap(before).facts(),
            "divergence": bootstrap(drift).facts(),
        }
    }  # fmt: skip


def replies(work: Work, model: "Model", questions: Sequence[Conversation]) -> "list[Reply]":
    """What a model says to questions, at temperature 1 and with the same seeds for every model."""
    from groundup.dialogue import Dialogue
    from groundup.events import Named
    from groundup.infer.engine import Engine

    engine = Engine(model, rows=ROWS, length=model.config.length, dtype=autocast_dtype(work.recipe.precision))
    dialogue = Dialogue(engine, chat_of(work))
    named = Named(work.events, "replies")
    return dialogue.reply(questions, max_tokens=REPLY_TOKENS, seed=work.recipe.seed, progress=named)


def _told(leads: "ndarray", about: str) -> dict[str, Any]:
    """The share of pairs that are told right (a tie is wrong), and by how much; NaN is a pair that was not told."""
    import numpy as np

    from groundup.eval.interval import bootstrap, wilson

    leads = leads[~np.isnan(leads)]
    right = wilson(int((leads > 0).sum()), len(leads))
    score = {"score": right.value, "low": right.low, "high": right.high, "chance": 0.5}
    return {"about": about, **score, "n": len(leads), "unit": "pairs", "margin": bootstrap(leads).facts()}


def _leads(work: Work, pairs: Sequence[Pair], value: "Callable[[Batch], Tensor]") -> "ndarray":
    """(P,) by how much the better reply of each pair is ahead in `value`, which gives (B, S) of a batch.

    NaN where a pair does not fit in the context.
    """
    import numpy as np

    from groundup.tokenizer.special import PAD
    from groundup.train.feeds.preferences import PackedPreferences, pair_units
    from groundup.train.objectives._segments import lead

    chat, context = chat_of(work), int(work.recipe.model.tree()["length"])
    rows = PackedPreferences(pair_units(pairs, chat), REPLIES * context, context, chat.tokenizer.special[PAD])
    size = adapting(work.recipe).micro_rows or adapting(work.recipe).rows
    here = (batch.to(work.device) for batch in batched(rows, size))
    found = np.full(len(pairs), np.nan)
    found[rows.order] = np.concatenate([lead(value(batch), batch).double().cpu().numpy() for batch in here])
    return found


def _words(found: Examples) -> "Words":
    """A bag of words that tells the better replies of the training pairs from the others."""
    from groundup.eval.words import Words

    return Words(*_sides([example for example in found.train if isinstance(example, Pair)]))


def _sides(pairs: Sequence[Pair]) -> tuple[list[str], list[str]]:
    """Both replies of every pair, and which each is."""
    texts = [_text(getattr(pair, side)) for pair in pairs for side in (CHOSEN, REJECTED)]
    return texts, [CHOSEN, REJECTED] * len(pairs)


def _text(reply: Conversation) -> str:
    return "\n".join(message.content for message in reply)
