"""The inside of the sandbox: run as a program of its own by `_sandbox.py`, with a request on standard input.

It gives up, for good, all that a program is not to have, says so on the report pipe, and only then runs the program:
limits of memory, time, files and output; where the kernel allows it namespaces of its own (users, mounts, network) and
an empty root; and a filter that knows the few system calls which pure computation needs. All others fail with EPERM:
sockets, signals, new processes, tracing, mounting. Without a root of its own that holds nothing but Python, opening a
file is among them; the modules that such a program may import are then loaded before.
"""

import contextlib
import ctypes
import importlib
import io
import json
import os
import platform
import resource
import struct
import sys
import traceback
from pathlib import Path
from typing import Any

PRELOADED = (
    "abc", "array", "ast", "base64", "bisect", "calendar", "cmath", "collections", "copy", "csv", "dataclasses",
    "datetime", "decimal", "difflib", "enum", "fractions", "functools", "hashlib", "heapq", "inspect", "io",
    "itertools", "json", "keyword", "math", "numbers", "operator", "os", "pprint", "queue", "random", "re",
    "signal", "statistics", "string", "struct", "sys", "textwrap", "threading", "time", "traceback", "types",
    "typing", "unicodedata", "uuid", "zlib",
)  # fmt: skip

NEW_MOUNTS, NEW_UTS, NEW_IPC, NEW_USER, NEW_NET = 0x00020000, 0x04000000, 0x08000000, 0x10000000, 0x40000000
THREAD = 0x00010000
NO_NEW_PRIVILEGES, SECCOMP, SECCOMP_FILTER = 38, 22, 2
LOAD, JUMP_EQUAL, JUMP_SET, RETURN = 0x20, 0x15, 0x45, 0x06
ALLOW, ERRNO, KILL = 0x7FFF0000, 0x00050000, 0x80000000
EPERM, ENOSYS = 1, 38


def main() -> None:
    """Read the request, lock the door, run."""
    request = json.loads(sys.stdin.buffer.read())
    report = os.fdopen(request["report"], "wb", buffering=0)
    filters = _filter(request["files"])
    for name in PRELOADED:
        importlib.import_module(name)
    encodings = ("ascii", "latin-1", "utf-16", "utf-32", "idna")
    for name in encodings:
        "".encode(name)
    code = compile(request["program"], "program.py", "exec", dont_inherit=True)
    namespaces = False if request["files"] else _unshare(request["root"])
    _limit(request["limits"])
    _install(filters)
    report.write(b"namespaces\n" if namespaces else b"filter\n")
    sys.stdin = io.StringIO(request["stdin"])
    sys.argv = ["program.py"]
    try:
        exec(code, {"__name__": "__main__", "__builtins__": __builtins__})
    except SystemExit:
        raise
    except BaseException:
        traceback.print_exc()
        _leave(1)
    report.write(request["nonce"].encode())
    _leave(0)


def _leave(code: int) -> None:
    """Go without clean-up that a program could hook into."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


def _limit(limits: dict[str, int]) -> None:
    """Soft and hard, so that they cannot be raised again."""
    for name, most in limits.items():
        kind = getattr(resource, name)
        hard = resource.getrlimit(kind)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (most, most))


def _unshare(root: str) -> bool:
    """Namespaces of its own and an empty root, if the kernel allows them."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(NEW_USER | NEW_MOUNTS | NEW_UTS | NEW_IPC | NEW_NET) != 0:
        return False
    try:
        os.chroot(root)
        os.chdir("/")
    except OSError:
        return False
    return True


def _filter(files: bool) -> bytes:
    """The seccomp program: an allow list for this machine's kind of processor."""
    table: dict[str, Any] = json.loads(Path(__file__).with_name("_syscalls.json").read_text("utf-8"))[
        platform.machine()
    ]
    allowed = sorted({*table["always"].values(), *(table["files"].values() if files else ())})
    refuse, say_unknown = ERRNO | EPERM, ERRNO | ENOSYS
    code = [
        (LOAD, 0, 0, 4),  # the kind of processor: a call of another kind has other numbers
        (JUMP_EQUAL, 1, 0, table["audit"]),
        (RETURN, 0, 0, KILL),
        (LOAD, 0, 0, 0),  # the number of the call
        (JUMP_EQUAL, 0, 1, table["clone3"]),
        (RETURN, 0, 0, say_unknown),  # the C library goes on with clone, whose flags can be seen
        (JUMP_EQUAL, 0, 4, table["clone"]),
        (LOAD, 0, 0, 16),  # its flags
        (JUMP_SET, 0, 1, THREAD),
        (RETURN, 0, 0, ALLOW),
        (RETURN, 0, 0, refuse),
    ]
    for number in allowed:
        code += [(JUMP_EQUAL, 0, 1, number), (RETURN, 0, 0, ALLOW)]
    code.append((RETURN, 0, 0, refuse))
    return b"".join(struct.pack("=HBBI", *line) for line in code)


def _install(filters: bytes) -> None:
    """From here on the filter holds, for this process and all its threads."""
    libc = ctypes.CDLL(None, use_errno=True)
    held = ctypes.create_string_buffer(filters, len(filters))
    program = ctypes.create_string_buffer(struct.pack("@HxxxxxxP", len(filters) // 8, ctypes.addressof(held)))
    if libc.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0) or libc.prctl(SECCOMP, SECCOMP_FILTER, program, 0, 0):
        raise OSError(ctypes.get_errno(), "the kernel takes no filter of system calls")


if __name__ == "__main__":
    main()
