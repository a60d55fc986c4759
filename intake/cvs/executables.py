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

_MAGIC = (
    (b"\x7fELF", "a program"),
    (b"\xfe\xed\xfa\xce", "a program"),  # Mach-O, in either order and for either width
    (b"\xfe\xed\xfa\xcf", "a program"),
    (b"\xce\xfa\xed\xfe", "a program"),
    (b"\xcf\xfa\xed\xfe", "a program"),
    (b"\xca\xfe\xba\xbe", "a program"),  # Java, or Mach-O for several machines
    (b"\xca\xfe\xd0\x0d", "a program"),
    (b"dex\n", "a program"),
    (b"\0asm", "a program"),
    (b"Cr24", "a program"),  # an extension of Chrome
    (b"ITSF", "a program"),  # compiled HTML help, which runs scripts
    (b"\xed\xab\xee\xdb", "a program"),  # RPM
    (b"!<arch>\n", "a program"),  # a Debian package, or a library
    (b"L\0\0\0\x01\x14\x02\0\0\0\0\0\xc0\0\0\0\0\0\0F", "a shortcut"),
    (b"#!", "a script"),
)
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
    for magic, kind in _MAGIC:
        if head.startswith(magic):
            return kind
    if head.startswith(b"MZ") and b"\0" in head[:64]:  # without a NUL, it is a text that begins with these initials
        return "a program"
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
