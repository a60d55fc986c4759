"""Sandbox of a process that parses files from anonymous senders: resource limits, Landlock and seccomp."""

import ctypes
import os
import platform
import resource
import struct
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

REQUIRED, BEST_EFFORT = "required", "best-effort"
PARTS = ("Landlock", "seccomp")
MODES = (REQUIRED, BEST_EFFORT)
MEMORY_BYTES = 2**29
OPEN_FILES = 16
NICENESS = 19

_PR_SET_PDEATHSIG, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 1, 22, 38
_SECCOMP_MODE_FILTER, _SIGKILL, _EPERM = 2, 9, 1
_LANDLOCK_CREATE, _LANDLOCK_RESTRICT, _LANDLOCK_VERSION = 444, 446, 1  # the same numbers on all architectures
_SECCOMP_GET_ACTION_AVAIL = 2
_KILL_PROCESS, _ERRNO, _ALLOW = 0x80000000, 0x00050000 | _EPERM, 0x7FFF0000
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06  # BPF instructions
_NUMBER, _ARCHITECTURE = 0, 4  # offsets in struct seccomp_data, as those of the arguments below
_FIRST_ARGUMENT, _THIRD_ARGUMENT = 16, 32
_STANDARD_OUTPUT, _PROT_EXEC = 1, 4
_FIRST_X32_NUMBER = 0x40000000


class SandboxUnavailable(Exception):
    """The system lacks a part of the sandbox that is required."""


@dataclass(frozen=True)
class _Architecture:
    """Identifier and system call numbers of an architecture."""

    audit_number: int
    seccomp: int
    write: int
    executable: tuple[int, int]  # mmap and mprotect, which must not create executable memory
    allowed: tuple[int, ...]


_ARCHITECTURES = {
    "x86_64": _Architecture(
        audit_number=0xC000003E,
        seccomp=317,
        write=1,
        executable=(9, 10),
        # read, close, lseek, munmap, brk, rt_sigaction, rt_sigprocmask, rt_sigreturn, pread64, sched_yield,
        # mremap, madvise, getpid, exit, gettimeofday, sigaltstack, gettid, futex, restart_syscall, clock_gettime,
        # clock_nanosleep, exit_group, getrandom, rseq; no fstat: its successor newfstatat also takes paths
        allowed=(
            *(0, 3, 8, 11, 12, 13, 14, 15, 17, 24, 25, 28, 39, 60, 96, 131, 186, 202, 219, 228, 230, 231, 318, 334),
        ),
    ),
    "aarch64": _Architecture(
        audit_number=0xC00000B7,
        seccomp=277,
        write=64,
        executable=(222, 226),
        # the same, in the order of their numbers here
        allowed=(
            *(57, 62, 63, 67, 93, 94, 98, 113, 115, 124, 128, 132, 134, 135, 139, 169, 172, 178),
            *(214, 215, 216, 233, 278, 293),
        ),
    ),
}
_LIBC = ctypes.CDLL(None, use_errno=True)


def enter(mode: str, *, cpu_s: int) -> None:
    """Restrict this process for good. Raises SandboxUnavailable if `mode` is `required` and a part is missing."""
    os.nice(NICENESS)
    _limit(resource.RLIMIT_CPU, cpu_s, cpu_s + 1)  # the first sends SIGXCPU, the second SIGKILL
    _limit(resource.RLIMIT_AS, MEMORY_BYTES)
    _limit(resource.RLIMIT_NOFILE, OPEN_FILES)
    _limit(resource.RLIMIT_FSIZE, 0)
    _limit(resource.RLIMIT_CORE, 0)
    lacking = missing()
    if mode == REQUIRED and lacking:
        raise SandboxUnavailable(", ".join(lacking))
    end_with_parent()
    if sys.platform == "linux":
        _call(_LIBC.prctl, _PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if "Landlock" not in lacking:
        _deny_files_and_network()
    if "seccomp" not in lacking:
        _filter_system_calls()


def end_with_parent() -> None:
    """Have Linux kill this process when the thread that started it ends."""
    if sys.platform == "linux":
        _call(_LIBC.prctl, _PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0)


def fault(mode: str) -> str | None:
    """Return why a process can't enter the sandbox in this mode, with the remedy, or None."""
    lacking = missing()
    if mode != REQUIRED or not lacking:
        return None
    return (
        f"the sandbox needs {' and '.join(lacking)}, which this system lacks: run the worker on Linux 5.13 or newer,"
        " or set INTAKE_CV_SANDBOX=best-effort"
    )


def describe() -> str:
    """Return the parts of the sandbox that are active on this system."""
    lacking = missing()
    return " and ".join(part for part in PARTS if part not in lacking) or "resource limits only"


def missing() -> list[str]:
    """Return the parts of the sandbox that this system lacks, such as `Landlock`."""
    present = _landlock_version() > 0, _has_seccomp()
    return [part for part, is_present in zip(PARTS, present, strict=True) if not is_present]


def _limit(kind: int, soft: int, hard: int | None = None) -> None:
    try:
        resource.setrlimit(kind, (soft, soft if hard is None else hard))
    except (OSError, ValueError):  # macOS limits no address space
        if sys.platform == "linux":
            raise


def _landlock_version() -> int:
    if sys.platform != "linux":
        return 0
    return int(_LIBC.syscall(_LANDLOCK_CREATE, None, ctypes.c_size_t(0), _LANDLOCK_VERSION))


def _has_seccomp() -> bool:
    architecture = _ARCHITECTURES.get(platform.machine())
    if sys.platform != "linux" or architecture is None:
        return False
    action = ctypes.c_uint32(_KILL_PROCESS)
    return int(_LIBC.syscall(architecture.seccomp, _SECCOMP_GET_ACTION_AVAIL, 0, ctypes.byref(action))) == 0


def _deny_files_and_network() -> None:
    """Apply a Landlock ruleset that handles everything this kernel knows, and allows nothing."""
    version = _landlock_version()
    file_rights = 13 + (version >= 2) + (version >= 3) + (version >= 5)
    rights = ((1 << file_rights) - 1, 0b11 if version >= 4 else 0, 0b11 if version >= 6 else 0)
    sizes = 8 if version < 4 else 16 if version < 6 else 24
    ruleset = ctypes.create_string_buffer(struct.pack("<QQQ", *rights)[:sizes], sizes)
    descriptor = _call(_LIBC.syscall, _LANDLOCK_CREATE, ruleset, ctypes.c_size_t(sizes), 0)
    _call(_LIBC.syscall, _LANDLOCK_RESTRICT, descriptor, 0)
    os.close(descriptor)


def _filter_system_calls() -> None:
    instructions = list(_program(_ARCHITECTURES[platform.machine()]))
    code = b"".join(struct.pack("=HBBI", *instruction) for instruction in instructions)
    program = ctypes.create_string_buffer(code, len(code))
    header = struct.pack("@HP", len(instructions), ctypes.addressof(program))
    _call(_LIBC.prctl, _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.create_string_buffer(header, len(header)), 0, 0)


def _program(architecture: _Architecture) -> Iterator[tuple[int, int, int, int]]:
    """Yield the filter's instructions: operation, jumps if true and if false, and operand."""
    yield (_LOAD, 0, 0, _ARCHITECTURE)
    yield (_EQUAL, 1, 0, architecture.audit_number)
    yield (_RETURN, 0, 0, _KILL_PROCESS)
    yield (_LOAD, 0, 0, _NUMBER)
    yield (_AT_LEAST, 0, 1, _FIRST_X32_NUMBER)
    yield (_RETURN, 0, 0, _KILL_PROCESS)
    for number in architecture.allowed:
        yield (_EQUAL, 0, 1, number)
        yield (_RETURN, 0, 0, _ALLOW)
    yield from _checked((architecture.write,), _FIRST_ARGUMENT, (_EQUAL, 0, 1, _STANDARD_OUTPUT))
    yield from _checked(architecture.executable, _THIRD_ARGUMENT, (_ANY_BIT, 1, 0, _PROT_EXEC))
    yield (_RETURN, 0, 0, _ERRNO)


def _checked(
    numbers: Sequence[int], argument: int, test: tuple[int, int, int, int]
) -> Iterator[tuple[int, int, int, int]]:
    """Yield instructions that allow some calls depending on the test of an argument."""
    for number in numbers:
        yield (_EQUAL, 0, 4, number)
        yield (_LOAD, 0, 0, argument)
        yield test
        yield (_RETURN, 0, 0, _ALLOW)
        yield (_RETURN, 0, 0, _ERRNO)


def _call(function: object, *arguments: object) -> int:
    result = int(function(*arguments))  # type: ignore[operator]
    if result < 0:
        raise OSError(ctypes.get_errno(), "the sandbox can't be entered")
    return result
