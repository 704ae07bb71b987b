"""llama.cpp in the row `exported`: the GGUF file that we exported, through xllamacpp, every reply a slot of its own."""

import time
from typing import Any

from play import Round, play


def prepare(settings: dict[str, Any]) -> Round:
    """Load the file and answer once."""
    import xllamacpp

    length, replies = settings["prompt"] + settings["new"] + 1, settings["replies"]
    params = xllamacpp.CommonParams()
    params.model.path = settings["file"]
    params.n_parallel, params.n_ctx = replies, replies * (-(-length // 256) * 256)
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = settings["threads"]
    server = xllamacpp.Server(params)
    n = 0

    def turn() -> dict[str, Any]:
        nonlocal n
        n += 1
        prompts = [
            [(7 * place + 13 * reply + n) % settings["vocab"] for place in range(settings["prompt"])]
            for reply in range(replies)
        ]
        asked = {
            "prompt": prompts[0] if replies == 1 else prompts, "max_tokens": settings["new"], "ignore_eos": True,
            "temperature": 1.0, "top_k": settings["top_k"], "top_p": 1.0, "min_p": 0.0, "repeat_penalty": 1.0,
            "cache_prompt": False,
        }  # fmt: skip
        start = time.perf_counter()
        said = server.handle_completions(asked)
        seconds = time.perf_counter() - start
        ends = [choice["finish_reason"] for choice in said["choices"]]  # `usage` counts the first choice alone
        if ends != ["length"] * replies:
            raise RuntimeError(f"{replies} replies of {settings['new']} tokens were asked for, they ended by {ends}")
        made = replies * settings["new"]
        return {"value": made / seconds}

    turn()
    return turn


if __name__ == "__main__":
    play(prepare)
