"""Hugging Face: a folder that stock transformers opens, and all that reads such folders (vLLM, TRL, llama.cpp ...).

config.json  generation_config.json  model.safetensors
tokenizer.json  tokenizer_config.json (the chat template, in Jinja)  README.md (the model card)
"""

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from pydantic import Field
from safetensors.torch import save_file
from torch import Tensor

from groundup.corpus.conversation import Conversation, Message
from groundup.errors import DataError
from groundup.events import Reporter
from groundup.formats import parity
from groundup.formats._base import DTYPES, Bundle, Format, Precision, rounded, stock_name
from groundup.formats._stock import config_out, weights_out
from groundup.formats.parity import Parity
from groundup.tokenizer.special import END_OF_TEXT, END_OF_TURN, PAD, SPECIAL

if TYPE_CHECKING:
    from groundup.models._base import Model

TORCH_NAMES = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}
REPLY_TOKENS = 32
"""How far both sides answer, greedily, in the check."""


class Huggingface(Format):
    """A folder for transformers."""

    precision: Precision = Field("fp32", description="of the weights in the file")

    def write(self, bundle: Bundle, folder: Path) -> None:
        """Write every file. Raises UnsupportedError for a model that transformers does not know."""
        architecture = stock_name(bundle.model, "huggingface")
        name = TORCH_NAMES[self.precision]
        ids = special_ids(bundle)
        config = {"architectures": [architecture], **config_out(bundle.model), "dtype": name, "torch_dtype": name}
        _write(folder / "config.json", {**config, **ids})
        _write(folder / "generation_config.json", {**ids, "eos_token_id": stop_ids(bundle), "do_sample": True})
        bundle.tokenizer.save(folder)
        settings = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
        _write(folder / "tokenizer_config.json", {**settings, "model_max_length": bundle.model.config.length})
        path = folder / "model.safetensors"
        save_file(weights_out(bundle.model, DTYPES[self.precision]), path, metadata={"format": "pt"})
        shutil.copymode(folder / "config.json", path)  # the library lets nobody else read what it writes

    def check(self, bundle: Bundle, folder: Path, progress: Reporter) -> Parity:
        """Compare with transformers, or with our own reader where it is not installed. Raises DataError."""
        if find_spec("transformers") is None:
            return self._own(bundle, folder, progress)
        with _quiet():
            return self._transformers(bundle, folder, progress)

    def usage(self, bundle: Bundle) -> str:
        """How to open it with transformers."""
        ask = (
            'ids = tokenizer.apply_chat_template([{"role": "user", "content": "Who are you?"}],\n'
            '                                    add_generation_prompt=True, return_tensors="pt", return_dict=True)'
            if bundle.chats
            else 'ids = tokenizer("Once", return_tensors="pt")'
        )
        return (
            "```python\nfrom transformers import AutoModelForCausalLM, AutoTokenizer\n\n"
            'tokenizer = AutoTokenizer.from_pretrained("FOLDER")\n'
            f'model = AutoModelForCausalLM.from_pretrained("FOLDER")\n{ask}\n'
            "print(tokenizer.decode(model.generate(**ids, max_new_tokens=100)[0]))\n```\n\n"
            "Text that a stranger typed may spell a special token (`<|user|>`). `tokenizer(text, "
            "split_special_tokens=True)` keeps it as text, as groundup does; the chat template in Jinja cannot."
        )

    def _transformers(self, bundle: Bundle, folder: Path, progress: Reporter) -> Parity:
        import transformers

        reader = f"transformers {version('transformers')}"
        tokenizer: Any = transformers.AutoTokenizer.from_pretrained(str(folder))
        loaded: Any = transformers.AutoModelForCausalLM.from_pretrained(
            str(folder), output_loading_info=True, dtype=torch.float32
        )
        model, info = loaded[0].eval(), loaded[1]
        for what in ("missing_keys", "unexpected_keys", "mismatched_keys"):
            if info[what]:
                raise DataError(f"{reader} finds {what.replace('_', ' ')}: {sorted(info[what])}; nothing was exported")

        def read(text: str) -> list[int]:
            special = any(name in text for name in SPECIAL)
            return list(tokenizer(text, add_special_tokens=False, split_special_tokens=special)["input_ids"])

        def render(talk: Conversation) -> list[int]:
            messages = [{"role": message.role, "content": message.content} for message in talk]
            return list(tokenizer.apply_chat_template(messages, add_generation_prompt=True)["input_ids"])

        def logits(ids: Sequence[int]) -> Tensor:
            with torch.inference_mode():
                found: Tensor = model(torch.tensor([ids])).logits[0]
            return found

        ours = rounded(bundle.model, DTYPES[self.precision])
        figures: dict[str, str | float] = {"architecture": type(model).__name__, "missing or unexpected keys": 0}
        figures |= _compare(bundle, ours, reader, read, render, logits, progress)
        if bundle.chats:
            figures |= _stops(bundle, ours, model, reader)
        return Parity(reader, figures)

    def _own(self, bundle: Bundle, folder: Path, progress: Reporter) -> Parity:
        """The same comparison with what our own import makes of the folder."""
        import jinja2
        import tokenizers

        from groundup.formats.incoming import read_model

        model, backend = read_model(folder), tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
        settings = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
        template = jinja2.Environment().from_string(settings.get("chat_template", ""))

        def read(text: str) -> list[int]:
            backend.encode_special_tokens = True
            return list(backend.encode(text, add_special_tokens=False).ids)

        def render(talk: Conversation) -> list[int]:
            backend.encode_special_tokens = False
            messages = [{"role": message.role, "content": message.content} for message in talk]
            text = template.render(messages=messages, add_generation_prompt=True)
            return list(backend.encode(text, add_special_tokens=False).ids)

        def logits(ids: Sequence[int]) -> Tensor:
            return next(parity.logits(model, [ids]))

        reader = "groundup's own reader (transformers is not installed)"
        ours = rounded(bundle.model, DTYPES[self.precision])
        return Parity(reader, _compare(bundle, ours, reader, read, render, logits, progress))


def special_ids(bundle: Bundle) -> dict[str, int]:
    """The ids that `config.json` names: where a text begins and a turn ends, and what fills a row."""
    special = bundle.tokenizer.special
    names = {"bos_token_id": END_OF_TEXT, "eos_token_id": END_OF_TURN if bundle.chats else END_OF_TEXT}
    names["pad_token_id"] = PAD if PAD in special else END_OF_TEXT
    return {field: special[name] for field, name in names.items() if name in special}


def stop_ids(bundle: Bundle) -> list[int]:
    """Where generation stops: the end of the turn first, then any other special token, which no reply may hold."""
    special = bundle.tokenizer.special
    return sorted(special.values(), key=lambda number: number != special.get(END_OF_TURN))


def _compare(
    bundle: Bundle,
    ours: "Model",
    reader: str,
    read: Callable[[str], list[int]],
    render: Callable[[Conversation], list[int]],
    logits: Callable[[Sequence[int]], Tensor],
    progress: Reporter,
) -> dict[str, str | float]:
    """Ids of the strings, logits of the prompts, ids of the talks."""
    from groundup.tokenizer.chat import Chat

    tokenizer = bundle.tokenizer
    texts, talks = parity.texts(), parity.talks()
    asked = parity.prompts(tokenizer, ours.config.length)
    figures: dict[str, str | float] = {
        "token ids of strings": parity.compare_ids(
            tokenizer.encode_batch(texts), lambda number: read(texts[number]), "string", reader
        )
    }
    if bundle.chats:
        chat = Chat(tokenizer)
        figures["prompts by the chat template"] = parity.compare_ids(
            [chat.prompt(talk) for talk in talks], lambda number: render(talks[number]), "talk", reader
        )
    worst = parity.compare_logits(ours, logits, asked, reader, progress=progress)
    figures[f"largest difference of a logit, {len(asked)} prompts"] = worst
    return figures


def _stops(bundle: Bundle, ours: "Model", model: Any, reader: str) -> dict[str, str | float]:
    """Have both sides answer some questions, greedily. Raises DataError where theirs runs over the end of a turn."""
    from groundup.infer.engine import Engine
    from groundup.infer.schedule import Request
    from groundup.tokenizer.chat import Chat

    chat = Chat(bundle.tokenizer)
    room = ours.config.length - REPLY_TOKENS
    asked = [ids for text in parity.QUESTIONS if len(ids := chat.prompt((Message("user", text),))) <= room]
    requests = [Request(ids, max_tokens=REPLY_TOKENS, temperature=0.0, stop=chat.stop_ids) for ids in asked]
    replies = Engine(ours, rows=max(1, len(asked))).complete(requests)
    same = 0
    for ids, reply in zip(asked, replies, strict=True):
        with torch.inference_mode():
            row = model.generate(torch.tensor([ids]), do_sample=False, max_new_tokens=REPLY_TOKENS)[0]
        said = row[len(ids) :].tolist()
        if chat.stop_ids & set(said[:-1]):
            raise DataError(f"{reader} does not stop at the end of a turn: {said}; nothing was exported")
        same += said == reply.ids
    stopped = sum(reply.stopped for reply in replies)
    return {"greedy replies": f"{same} of {len(asked)} identical, {stopped} of them end by themselves"}


@contextmanager
def _quiet() -> Iterator[None]:
    """transformers without its bars and notes, and as it was afterwards."""
    from transformers.utils import logging as notes

    logging: Any = notes
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def _write(path: Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
