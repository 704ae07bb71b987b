"""Programs that try to get out, to hang, to eat the machine. `{secret}` is a file, `{pid}` a process, `{port}` a server.

Each stands with the outcomes that are right for it; a program may print what it likes, but not what is in the secret.
"""

# ruff: noqa: E501

ERROR = {"failed"}
ANY_END = {"failed", "finished", "exited", "killed"}

HOSTILE: dict[str, tuple[str, set[str]]] = {
    # processes and signals
    "fork": ("import os; os.fork(); print('two')", ERROR),
    "fork bomb": ("import os\nwhile True:\n try: os.fork()\n except OSError: pass", {"time"}),
    "vfork by system": ("import os; assert os.system('echo out') == 0", ERROR),
    "subprocess": ("import subprocess; print(subprocess.run(['/bin/ls', '/']))", ERROR),
    "exec": ("import os; os.execv('/bin/sh', ['sh', '-c', 'echo out'])", ERROR),
    "posix_spawn": ("import os; os.posix_spawn('/bin/ls', ['ls'], {{}})", ERROR),
    "multiprocessing": ("import multiprocessing as m; p = m.Process(target=print); p.start(); p.join()", ERROR),
    "kill another": ("import os; os.kill({pid}, 9)", ERROR),
    "kill all": ("import os; os.kill(-1, 9)", ERROR),
    "kill the parent": ("import os; os.kill(os.getppid(), 9)", ERROR),
    "kill the group": ("import os; os.killpg(0, 9)", ERROR),
    "leave the session": ("import os; os.setsid()", ERROR),
    "become root": ("import os; os.setuid(0)", ERROR),
    "nicer": ("import os; os.nice(-20)", ERROR),
    # network
    "socket": ("import _socket; _socket.socket()", ERROR),
    "connect": ("import socket; socket.create_connection(('127.0.0.1', {port}), 2)", ERROR),
    "listen": ("import socket; socket.create_server(('', 0))", ERROR),
    "unix socket": ("import socket; socket.socket(socket.AF_UNIX).connect('/run/docker.sock')", ERROR),
    "raw socket": ("import socket; socket.socket(socket.AF_PACKET, socket.SOCK_RAW)", ERROR),
    "urllib": ("import urllib.request as u; u.urlopen('http://127.0.0.1:{port}')", ERROR),
    # files
    "read the secret": ("print(open({secret!r}).read())", ERROR),
    "read passwd": ("print(open('/etc/passwd').read())", ERROR),
    "read home": ("import os; print(os.listdir(os.path.expanduser('~root')))", ERROR),
    "list the root": ("import os; assert not {{'home', 'root', 'etc', 'var'}} & set(os.listdir('/'))", {"failed", "finished"}),
    "write outside": ("open({secret!r}, 'w').write('gone')", ERROR),
    "write beside": ("open('/escaped', 'w').write('x')", ERROR),
    "write to its own cage": ("import sys; open(sys.argv[0] or 'x', 'w'); open(__import__('json').__file__, 'a')", ERROR),
    "remove": ("import os; os.remove({secret!r})", ERROR),
    "remove trees": ("import shutil; shutil.rmtree('/usr')", ERROR),
    "symlink": ("import os; os.symlink({secret!r}, '/tmp/link'); print(open('/tmp/link').read())", ERROR),
    "hard link": ("import os; os.link({secret!r}, '/tmp/link')", ERROR),
    "chmod": ("import os; os.chmod('/tmp', 0o777)", ERROR),
    "chroot out": ("import os; os.mkdir('/tmp/a'); os.chroot('/tmp/a')", ERROR),
    "dot dot": ("print(open('../../../../../..' + {secret!r}).read())", ERROR),
    "device": ("open('/dev/sda', 'rb').read(1)", ERROR),
    "memory device": ("open('/dev/mem', 'rb').read(1)", ERROR),
    "fill the disk": ("f = open('/tmp/big', 'wb')\nwhile True: f.write(bytes(1 << 20)); f.flush()", {"failed", "killed"}),
    "many files": ("x = [open('/tmp/%d' % n, 'w') for n in range(10 ** 5)]", ERROR),
    # /proc
    "environment of another": ("print(open('/proc/{pid}/environ').read())", ERROR),
    "memory of another": ("open('/proc/{pid}/mem', 'rb')", ERROR),
    "root of another": ("import os; print(os.listdir('/proc/{pid}/root'))", ERROR),
    "own memory": ("open('/proc/self/mem', 'r+b')", ERROR),
    "host settings": ("open('/proc/sys/kernel/core_pattern', 'w')", ERROR),
    # straight to the kernel
    "ctypes system": ("import ctypes; assert ctypes.CDLL(None).system(b'echo out') == 0", ERROR),
    "ctypes socket": ("import ctypes; assert ctypes.CDLL(None).socket(2, 1, 0) >= 0", ERROR),
    "ctypes mount": ("import ctypes; assert ctypes.CDLL(None).mount(b'none', b'/tmp', b'tmpfs', 0, None) == 0", ERROR),
    "ctypes unshare": ("import ctypes; assert ctypes.CDLL(None).unshare(0x10000000) == 0", ERROR),
    "ctypes ptrace": ("import ctypes; assert ctypes.CDLL(None).ptrace(16, {pid}, 0, 0) == 0", ERROR),
    "ctypes bpf": ("import ctypes; assert ctypes.CDLL(None).syscall(321, 0, 0, 0) >= 0", ERROR),
    "ctypes kill": ("import ctypes; assert ctypes.CDLL(None).kill({pid}, 9) == 0", ERROR),
    "raise the limits": ("import resource as r; r.setrlimit(r.RLIMIT_AS, (-1, -1))", ERROR),
    "crash": ("import ctypes; ctypes.string_at(0)", {"killed", "failed"}),
    # time, memory, output
    "loop": ("while True: pass", {"time"}),
    "sleep": ("import time; time.sleep(1000)", {"time"}),
    "deaf to signals": ("import signal, time\nfor n in (15, 2, 24): signal.signal(n, signal.SIG_IGN)\nwhile True: pass", {"time"}),
    "deadlock": ("import threading; a = threading.Lock(); a.acquire(); a.acquire()", {"time"}),
    "10 GB": ("x = bytearray(10 * 2 ** 30); print(len(x))", {"memory"}),
    "growing": ("x = []\nwhile True: x.append(bytes(1 << 20))", {"memory"}),
    "huge power": ("x = 10 ** 10 ** 10", {"time", "memory"}),
    "threads without end": ("import threading, time\nwhile True: threading.Thread(target=time.sleep, args=(99,)).start()", {"failed", "time", "memory", "killed"}),
    "recursion": ("def f(): f()\nf()", ERROR),
    "deep recursion": ("import sys; sys.setrecursionlimit(10 ** 9)\ndef f(): f()\nf()", {"failed", "killed", "memory", "time"}),
    "endless output": ("while True: print('x' * 1000)", {"output"}),
    "endless errors": ("import sys\nwhile True: sys.stderr.write('x' * 1000)", {"output"}),
    "no newline": ("import sys; sys.stdout.write('x' * 10 ** 8)", {"output", "memory"}),
    "waiting for input": ("print(repr(input()))", ERROR),
    # pretending
    "leave early": ("import os; os._exit(0)", {"exited"}),
    "leave politely": ("raise SystemExit(0)", {"exited"}),
    "raise strangely": ("raise BaseException('x')", ERROR),
    "write everywhere": ("import os\nfor n in range(3, 64):\n try: os.write(n, b'finished' * 99)\n except OSError: pass\nos._exit(0)", {"exited"}),
    "not Python": ("this is not ( Python", ERROR),
    "null byte": ("print(1)\0", ERROR),
}  # fmt: skip
