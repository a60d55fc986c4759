"""Runs a program with the system call filters of intake's systemd units, which it applies as systemd does.

    python tests/ops/restricted.py UNIT_FILE PROGRAM ARGUMENT…

Mounts, users and capabilities need systemd itself, and are not applied.
"""

import ctypes
import errno
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

ALLOW, ERRNO = 0x7FFF0000, 0x00050000
REFUSED = ERRNO | errno.EPERM
EQUAL, GREATER, MASKED_EQUAL = 4, 6, 7  # libseccomp's comparisons
PROT_WRITE, PROT_EXEC = 2, 4
FAMILIES = {"AF_UNIX": 1, "AF_INET": 2, "AF_INET6": 10}
NAMESPACES = (0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000, 0x00000080)
SECCOMP = ctypes.CDLL("libseccomp.so.2")
SECCOMP.seccomp_init.restype = ctypes.c_void_p


class Argument(ctypes.Structure):
    """libseccomp's struct scmp_arg_cmp."""

    _fields_ = (("number", ctypes.c_uint), ("comparison", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64))


class Filter:
    """A filter with the action for all calls without a rule."""

    def __init__(self, default: int) -> None:
        self._context = ctypes.c_void_p(SECCOMP.seccomp_init(ctypes.c_uint32(default)))

    def add(self, action: int, name: str, *arguments: Argument) -> None:
        """Add a rule for a call; architectures lack some calls."""
        if (number := SECCOMP.seccomp_syscall_resolve_name(name.encode())) < 0:
            return
        given = (Argument * len(arguments))(*arguments)
        made = SECCOMP.seccomp_rule_add_array(
            self._context, ctypes.c_uint32(action), number, ctypes.c_uint(len(arguments)), given
        )
        assert made == 0, (name, made)

    def load(self) -> None:
        """Apply it to this process and its children."""
        loaded = SECCOMP.seccomp_load(self._context)
        assert loaded == 0, loaded


def groups() -> dict[str, list[str]]:
    """Return the groups of system calls that systemd knows, with their calls and other groups."""
    listed = subprocess.run(["systemd-analyze", "syscall-filter"], capture_output=True, text=True, check=True)
    known: dict[str, list[str]] = {}
    for line in listed.stdout.splitlines():
        if line.startswith("@"):
            known[line] = []
        elif re.match(r" +[@a-z]", line):
            known[next(reversed(known))].append(line.strip())
    return known


def calls(name: str, known: Mapping[str, list[str]]) -> Iterator[str]:
    """Yield the system calls of a group such as @system-service, or a call itself."""
    if not name.startswith("@"):
        yield name
    for member in known.get(name, ()):
        yield from calls(member, known)


def values(unit: str, directive: str) -> list[str]:
    return re.findall(rf"^{directive}=(.*)$", unit, re.MULTILINE)


def allow_list(unit: str) -> Filter:
    """Return SystemCallFilter: all other calls fail with EPERM."""
    allowed, known = set[str](), groups()
    for value in values(unit, "SystemCallFilter"):
        named = {call for name in value.lstrip("~").split() for call in calls(name, known)}
        allowed = allowed - named if value.startswith("~") else allowed | named
    made = Filter(REFUSED)
    for call in allowed:
        made.add(ALLOW, call)
    return made


def executable_memory() -> Filter:
    """Return MemoryDenyWriteExecute."""
    made, both = Filter(ALLOW), PROT_WRITE | PROT_EXEC
    made.add(REFUSED, "mmap", Argument(2, MASKED_EQUAL, both, both))
    for call in ("mprotect", "pkey_mprotect"):
        made.add(REFUSED, call, Argument(2, MASKED_EQUAL, PROT_EXEC, PROT_EXEC))
    return made


def namespaces() -> Filter:
    """Return RestrictNamespaces."""
    made = Filter(ALLOW)
    made.add(ERRNO | errno.ENOSYS, "clone3")
    made.add(REFUSED, "setns")
    for flag in NAMESPACES:
        for call in ("clone", "unshare"):
            made.add(REFUSED, call, Argument(0, MASKED_EQUAL, flag, flag))
    return made


def address_families(unit: str) -> Filter:
    """Return RestrictAddressFamilies."""
    [families] = values(unit, "RestrictAddressFamilies")
    known = {FAMILIES[family] for family in families.split()}
    made, unsupported = Filter(ALLOW), ERRNO | errno.EAFNOSUPPORT
    made.add(unsupported, "socket", Argument(0, GREATER, max(known)))
    for family in set(range(max(known))) - known:
        made.add(unsupported, "socket", Argument(0, EQUAL, family))
    return made


def restrict(unit: str) -> None:
    """Apply a unit's filters to this process, the strictest one last."""
    assert values(unit, "MemoryDenyWriteExecute") == values(unit, "RestrictNamespaces") == ["yes"]
    for made in (executable_memory(), namespaces(), address_families(unit), allow_list(unit)):
        made.load()


if __name__ == "__main__":
    restrict(Path(sys.argv[1]).read_text())
    os.execv(sys.argv[2], sys.argv[2:])
