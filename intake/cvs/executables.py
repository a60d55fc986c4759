"""Detection of executables, by their first bytes or by file extension."""

import re

HEAD_BYTES = 1024

# extensions that a double click runs, installs or mounts on some operating system
EXTENSIONS = frozenset(
    "exe com scr pif cpl dll sys drv ocx xll wll msi msp mst msix msixbundle appx appxbundle gadget application"  # noqa: SIM905
    " appref-ms bat cmd ps1 psm1 psd1 vb vbs vbe js jse mjs ws wsf wsh wsc sct hta lnk url scf reg inf msc chm hlp"
    " settingcontent-ms library-ms diagcab jar class jnlp apk dex xpi crx app command action workflow scpt desktop"
    " sh bash zsh csh ksh fish py pyc pyw pyz pl rb php phar lua so dylib elf run deb rpm pkg appimage"
    " iso img vhd vhdx dmg".split()
)

_PROGRAMS = (
    *(b"\x7fELF", b"dex\n", b"\0asm"),
    *(b"\xfe\xed\xfa\xce", b"\xfe\xed\xfa\xcf", b"\xce\xfa\xed\xfe", b"\xcf\xfa\xed\xfe"),  # Mach-O
    *(b"\xca\xfe\xba\xbe", b"\xca\xfe\xd0\x0d"),  # Java, or Mach-O for several machines
    b"Cr24",  # an extension of Chrome
    b"ITSF",  # compiled HTML help, which runs scripts
    b"\xed\xab\xee\xdb",  # RPM
    b"!<arch>\n",  # a Debian package, or a library
)
_SHORTCUT = b"L\0\0\0\x01\x14\x02\0\0\0\0\0\xc0\0\0\0\0\0\0F"
_SCRIPT = re.compile(
    rb"""(?ix) (?:<\?xml[^>]{0,200}> \s*+)? (?:
        @echo \s++ off | @?setlocal \s*+ $ | \#requires \s++ - | powershell(?:\.exe)? \s++ - | <\?php
        | windows\ registry\ editor | regedit4 | \[internetshortcut\] | \[desktop\ entry\] | <(?:job|scriptlet)\b
        | on\ error\ resume\ next | option\ explicit | dim\ \w++ [\ \t]*+ [\r\n:]
        | (?:(?:set|var|let|const)\s++)? \$?+ \w++ \s*+ = \s*+
            (?:createobject\s*+\( | wscript\. | new\ activexobject | require\s*+\( | new-object\ | \[(?:system|net)\.)
        | wscript\. | createobject\s*+\( | \[cmdletbinding | param\s*+\(\s*+ [\[$] | invoke-expression\b
        | iex\s*+\( )
    """
)
_HTML_APPLICATION = re.compile(rb"(?i)<\s*hta:application")
_BYTE_ORDER_MARK = re.compile(rb"^(?:\xef\xbb\xbf|\xff\xfe|\xfe\xff)")


def executable_kind(head: bytes) -> str | None:
    """Return the kind of executable that begins with `head`, or None; scripts are recognized by their first lines."""
    # without a NUL, a text begins with the initials MZ
    if head.startswith(_PROGRAMS) or (head.startswith(b"MZ") and b"\0" in head[:64]):
        return "a program"
    if head.startswith(_SHORTCUT):
        return "a shortcut"
    text = _BYTE_ORDER_MARK.sub(b"", head[:HEAD_BYTES]).replace(b"\0", b"").lstrip()  # UTF-16, too
    if _SCRIPT.match(text) or text.startswith(b"#!") or _HTML_APPLICATION.search(text):
        return "a script"
    return None


def extension(name: str) -> str:
    """Return the extension of a file name in lower case without the dot; empty if there is none."""
    _, dot, found = name.rstrip(" .").rpartition(".")  # Windows ignores trailing spaces and dots
    return found.lower() if dot else ""


def has_executable_name(name: str) -> bool:
    """Return whether a double click on a file with that name runs it; Windows ignores the part after a colon."""
    return any(extension(part) in EXTENSIONS for part in name.split(":"))
