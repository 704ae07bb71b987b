"""llama.cpp, in an environment of its own: greedy replies of a GGUF file to prompts, as JSON on standard output.

usage: python llama_peer.py MODEL.gguf < {"texts": [...], "talks": [[{role, content}, ...], ...], "tokens": 64}
"""

import json
import sys
from typing import Any


def main() -> None:
    """Answer what standard input asks."""
    import xllamacpp

    asked = json.load(sys.stdin)
    params = xllamacpp.CommonParams()
    params.model.path = sys.argv[1]
    params.n_ctx, params.n_parallel, params.warmup = 256, 1, False
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
    params.cache_type_k = params.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
    server = xllamacpp.Server(params)
    greedy: dict[str, Any] = {"temperature": 0.0, "top_k": 1, "repeat_penalty": 1.0, "cache_prompt": False}
    said = {"texts": [], "talks": []}
    for text in asked["texts"]:
        reply = server.handle_completions({**greedy, "prompt": text, "max_tokens": asked["tokens"]})
        said["texts"].append(reply)
    for talk in asked["talks"]:
        reply = server.handle_chat_completions({**greedy, "messages": talk, "max_tokens": asked["tokens"]})
        said["talks"].append(reply)
    json.dump(said, sys.stdout)


if __name__ == "__main__":
    main()
