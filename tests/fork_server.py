"""Starts of `leadctl` and `intake` by forking a process that has imported the program, which saves up to a second each.

`ForkingPopen` sends the arguments, environment, directory and streams to a server, one for each program. The server
forks twice, so that the program becomes a child of the caller, with its own pid, exit code and signals. The environment
variable INTAKE_TEST_REAL_STARTS=1 and the fixture `real_starts` turn this off.
"""

import atexit
import ctypes
import fcntl
import gc
import inspect
import io
import os
import pickle
import pkgutil
import signal
import socket
import subprocess
import sys
import termios
import threading
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

ENTRY_POINTS = {"leadctl": "leadctl.__main__", "intake": "intake.cli"}
IMPORTED_LATE = {"leadctl": ["encodings.idna", "httpcore2", "truststore"], "intake": ["uvicorn.lifespan.on"]}
MAX_REQUEST_BYTES = 100_000  # the kernel bounds a message
PR_SET_CHILD_SUBREAPER = 36
# variables that the interpreter or an imported module reads before the program starts
READ_EARLY = ("PYTHON", "LC_", "LANG", "TZ", "LD_", "MALLOC_", "COVERAGE_", "TEXTUAL")
BIN = Path(sys.executable).parent
RealPopen = subprocess.Popen
_servers: dict[str, tuple[socket.socket, "RealPopen[bytes]"]] = {}
_lock = threading.Lock()


def take_terminal() -> None:
    """Make the terminal on standard error the controlling one, for Ctrl-C and getpass; a `preexec_fn`."""
    fcntl.ioctl(2, termios.TIOCSCTTY, 0)


class ForkingPopen(RealPopen):  # type: ignore[type-arg]
    """A Popen that has `leadctl` and `intake` forked by their servers."""

    def _execute_child(self, *arguments: Any) -> None:
        signature = inspect.signature(RealPopen._execute_child)  # type: ignore[attr-defined]
        given = signature.bind(self, *arguments).arguments
        message = _message(given)
        if message is None:
            super()._execute_child(*arguments)  # type: ignore[misc]
            return
        streams = [given["p2cread"], given["c2pwrite"], given["errwrite"]]
        with _lock:
            server = _server(given["args"][0])
            # -1: the caller's own stream
            socket.send_fds(server, [message], [n if stream == -1 else stream for n, stream in enumerate(streams)])
            self.pid = int(server.recv(16))
            server.recv(1)  # from now on, it is a child of this process
        self._child_created = True
        pipes = ("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite")
        self._close_pipe_fds(*(given[name] for name in pipes))  # type: ignore[attr-defined]


def _message(given: dict[str, Any]) -> bytes | None:
    """Return the message to a server, or None for a start that it can't do."""
    args, env = given["args"], os.environ if given["env"] is None else given["env"]
    is_program = isinstance(args, list) and args[0] in (str(BIN / name) for name in ENTRY_POINTS)
    is_special = given["pass_fds"] or given["executable"] or given["preexec_fn"] not in (None, take_terminal)
    changed = (name for name, _value in {*env.items()} ^ {*os.environ.items()})
    if not is_program or is_special or any(name.startswith(READ_EARLY) for name in changed):
        return None
    umask = Path("/proc/self/status").read_text().partition("Umask:")[2].split()[0]  # os.umask would change it
    has_terminal = given["preexec_fn"] is take_terminal
    request = (args, dict(env), given["cwd"] or Path.cwd(), int(umask, 8), given["start_new_session"], has_terminal)
    message = pickle.dumps(request)
    return message if len(message) <= MAX_REQUEST_BYTES else None


def _server(program: str) -> socket.socket:
    """Return the connection to the program's server, which ends when this process does."""
    if program not in _servers:
        # a process whose parent has ended becomes a child of this one
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            command, null = [sys.executable, __file__, program, str(theirs.fileno())], subprocess.DEVNULL
            _servers[program] = ours, RealPopen(command, pass_fds=[theirs.fileno()], stdin=null, stdout=null)
    return _servers[program][0]


def serve(program: Path, channel: socket.socket) -> Any:
    """Fork for each message; return in the new process, with the program's main function."""
    sys.path[0] = str(program.parent)
    package = import_module(program.name)
    modules = [found.name for found in pkgutil.walk_packages(package.__path__, f"{program.name}.")]
    for name in modules + IMPORTED_LATE[program.name]:
        if not name.endswith(".child"):
            import_module(name)
    gc.collect()
    gc.freeze()  # a collection in a new process would copy all memory
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        message, streams, _flags, _address = socket.recv_fds(channel, MAX_REQUEST_BYTES, 3)
        if not message:
            raise SystemExit
        if (parent := os.fork()) == 0:
            if child := os.fork():
                channel.send(str(child).encode())
                os._exit(0)
            channel.close()
            _become(streams, *pickle.loads(message))
            return import_module(ENTRY_POINTS[program.name]).main
        for stream in streams:
            os.close(stream)
        os.waitpid(parent, 0)
        channel.send(b"1")


def _become(
    streams: list[int], args: list[str], env: dict[str, str], cwd: Path, umask: int, is_session: bool, terminal: bool
) -> None:
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    if is_session:
        os.setsid()
    if terminal:
        take_terminal()
    os.umask(umask)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    sys.argv = args
    for name, mode in (("stdin", "rb"), ("stdout", "wb"), ("stderr", "wb")):
        old = getattr(sys, name)
        binary = os.fdopen(old.fileno(), mode, 0 if isinstance(old.buffer, io.FileIO) else -1, closefd=False)
        is_line = name == "stderr" or binary.isatty()
        new = io.TextIOWrapper(
            binary, old.encoding, old.errors, line_buffering=is_line, write_through=old.write_through
        )
        setattr(sys, name, new)
        setattr(sys, f"__{name}__", new)
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _end(code: object) -> NoReturn:
    """End like the interpreter, but without freeing all objects, which would copy all memory."""
    if not isinstance(code, int | None):
        sys.stderr.write(f"{code}\n")
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            if not stream.closed:
                stream.flush()
        except OSError:
            code = 120
    os._exit(code & 0xFF if isinstance(code, int) else code is not None)


if __name__ == "__main__":
    main = serve(Path(sys.argv[1]), socket.socket(fileno=int(sys.argv[2])))
    try:
        main()
    except SystemExit as ended:
        _end(ended.code)
    _end(None)
