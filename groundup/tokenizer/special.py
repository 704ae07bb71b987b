"""The special tokens, in one list. Text never turns into one: only `Chat` and the token files place them."""

END_OF_TEXT = "<|end_of_text|>"
PAD = "<|pad|>"
SYSTEM = "<|system|>"
USER = "<|user|>"
ASSISTANT = "<|assistant|>"
TOOL = "<|tool|>"
END_OF_TURN = "<|end_of_turn|>"

SPECIAL: tuple[str, ...] = (END_OF_TEXT, PAD, SYSTEM, USER, ASSISTANT, TOOL, END_OF_TURN)

TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|' + message['role'] + '|>' + (message['content'] or '') }}"
    "{% for tool_call in message.tool_calls or [] %}"
    f"{{{{ '{TOOL}' + (tool_call.function | tojson) }}}}"
    "{% endfor %}"
    f"{{{{ '{END_OF_TURN}' }}}}"
    "{% endfor %}"
    f"{{% if add_generation_prompt %}}{{{{ '{ASSISTANT}' }}}}{{% endif %}}"
)
"""What `Chat` renders, in Jinja, for other programs: it is saved in `tokenizer_config.json`."""


def fitting(vocab_size: int, smallest: int) -> tuple[str, ...]:
    """The special tokens that fit beside `smallest` ordinary ones: all, or the first few of a very small vocabulary.

    >>> fitting(257, smallest=256)
    ('<|end_of_text|>',)
    """
    return SPECIAL[: max(0, vocab_size - smallest)]
