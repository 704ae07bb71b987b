"""The dialogue: replies are what the engine drew, streams say the same, old turns go first."""

import pytest

from dialogue.speaker import LENGTH, SAYING, babbler, dialogue, parrot
from groundup.corpus.conversation import Message
from groundup.errors import DataError
from groundup.tokenizer.chat import Ending


def ask(text: str):
    return (Message("user", text),)


def test_a_taught_model_says_its_saying_and_stops():
    (reply,) = dialogue(parrot()).reply([ask("Hi")], max_tokens=60, temperature=0.0)
    assert reply.message == Message("assistant", SAYING)
    assert reply.ending is Ending.STOPPED
    assert len(reply.ids) == len(reply.logps)
    assert max(reply.logps) <= 0.0


def test_the_stream_is_the_reply_and_characters_come_whole():
    speaker = dialogue(parrot())
    pieces = list(speaker.stream(ask("Well?"), max_tokens=60, temperature=0.0))
    assert "".join(pieces) == SAYING
    assert len(pieces) > 5
    assert "\ufffd" not in "".join(pieces)


@pytest.mark.parametrize("seed", range(3))
def test_stream_and_reply_draw_the_same(seed):
    speaker = dialogue(babbler())
    options = {"max_tokens": 30, "temperature": 1.0, "top_k": 50, "seed": seed}
    (reply,) = speaker.reply([ask("Hi")], **options)
    assert "".join(speaker.stream(ask("Hi"), **options)) == reply.message.content


def test_the_prompt_is_a_prefix_of_the_whole_conversation():
    speaker = dialogue(parrot())
    (reply,) = speaker.reply([ask("Hi")], max_tokens=60, temperature=0.0)
    whole, _ = speaker.chat.render((*ask("Hi"), reply.message))
    assert reply.prompt + reply.ids == whole


def test_equal_conversations_get_different_samples_and_equal_seeds_the_same():
    speaker = dialogue(babbler(), rows=3)
    first = speaker.reply([ask("Hi")] * 4, max_tokens=8, seed=1)
    assert len({tuple(reply.ids) for reply in first}) == 4
    assert first == speaker.reply([ask("Hi")] * 4, max_tokens=8, seed=1)
    assert first != speaker.reply([ask("Hi")] * 4, max_tokens=8, seed=2)


def test_a_reply_that_runs_out_of_tokens_is_cut():
    (reply,) = dialogue(parrot()).reply([ask("Hi")], max_tokens=4, temperature=0.0)
    assert reply.ending is Ending.CUT
    assert len(reply.ids) == 4
    assert SAYING.startswith(reply.message.content.rstrip("\ufffd"))


def test_a_reply_ends_with_the_context():
    speaker = dialogue(babbler())
    talk = ask("x" * (LENGTH - 10))
    (reply,) = speaker.reply([talk], max_tokens=1000, temperature=1.0)
    assert len(reply.prompt) + len(reply.ids) <= LENGTH


def test_too_long_a_question_is_refused():
    speaker = dialogue(babbler())
    with pytest.raises(DataError, match=f"the context holds {LENGTH}.*write a shorter one"):
        speaker.reply([ask("x" * 200)], max_tokens=5)
    with pytest.raises(DataError, match="shorter"):
        list(speaker.stream(ask("x" * 200), max_tokens=5))


def test_a_stream_that_is_closed_leaves_the_engine_free():
    speaker = dialogue(babbler(), rows=1)
    for _ in range(3):
        stream = speaker.stream(ask("Hi"), max_tokens=30)
        next(stream)
        stream.close()
    assert len(speaker.reply([ask("Hi")], max_tokens=5)) == 1


def test_fit_drops_the_oldest_turns_and_keeps_the_system_message():
    speaker = dialogue(babbler())
    system = Message("system", "zz")
    turns = [Message(role, f"{n}" * 8) for n in range(6) for role in ("user", "assistant")]
    talk = (system, *turns, Message("user", "last"))
    fitted = speaker.fit(talk, room=20)
    assert fitted[0] == system
    assert fitted[1].role == "user"
    assert fitted[1:] == talk[-len(fitted) + 1 :]
    assert len(speaker.chat.prompt(fitted)) + 20 <= LENGTH < len(speaker.chat.prompt(talk)) + 20
    assert speaker.fit(talk[-1:], room=20) == talk[-1:]


def test_room_is_what_the_prompt_leaves():
    speaker = dialogue(babbler())
    assert speaker.room(ask("Hi")) == LENGTH - len(speaker.chat.prompt(ask("Hi")))
    assert speaker.room(ask("x" * 200)) < 0


def test_fit_gives_up_room_before_it_refuses():
    speaker = dialogue(babbler())
    talk = ask("x" * (LENGTH - 10))
    assert speaker.fit(talk, room=50) == talk
    with pytest.raises(DataError, match="shorter"):
        speaker.fit(ask("x" * 200), room=1)


def test_the_likelihood_of_a_message_is_that_of_having_said_it():
    speaker = dialogue(parrot())
    (reply,) = speaker.reply([ask("Hi")], max_tokens=60, temperature=0.0)
    longer = (*ask("the cat sat"), Message("assistant", "mat"), *ask("Well?"), reply.message)
    both = speaker.logps([(*ask("Hi"), reply.message), longer])
    assert both == pytest.approx([sum(reply.logps)] * 2, abs=1e-3)


def test_the_option_that_leads_to_the_saying_is_chosen():
    speaker = dialogue(parrot())
    said, other = (*ask("Hi"), Message("assistant", SAYING)), (*ask("Hi"), Message("assistant", SAYING[::-1]))
    assert speaker.choose([(said, other), (other, said), (other, other, said)]) == [0, 1, 2]
    assert speaker.logps([said] * 40) == pytest.approx([speaker.logps([said])[0]] * 40, abs=1e-4)


def test_too_long_an_option_is_refused():
    speaker = dialogue(babbler())
    with pytest.raises(DataError, match="shorter"):
        speaker.choose([[(*ask("x" * 200), Message("assistant", "y"))]])


def test_nothing_asked_nothing_said():
    assert dialogue(babbler()).reply([], max_tokens=5) == []
