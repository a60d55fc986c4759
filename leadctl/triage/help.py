"""The text of `?`."""

from collections.abc import Mapping

from leadctl.triage.keys import label

_HELP = """Keys

{states}

The first line shows the lead and its state. A key above moves the lead to that state, and goes to the \
next lead. The key of the lead's present state does nothing.

  s  skip: go to the next lead, change nothing
  b  go back to the lead before
  u  undo your last decision; repeat it to undo earlier ones

  j k  scroll by a line (also the arrow keys)
  Space  Page Down  Page Up  Home  End
  /  search in the text; / and Enter find the next match

  o  open the CV in your viewer
  w  save the CV in the current directory
  h  history of the lead
  c  clear a suspect lead: it is not spam, and its mails are queued
  Ctrl-L  draw the screen again
  q  quit (also Ctrl-C)

Each decision is saved on the server when the next lead appears. If a colleague decides a lead before \
you, nothing is overwritten: you see who it was. Undo changes only what you decided since the start, and \
nothing that a colleague has changed since.

A held key decides one lead only. Enter never decides. Upper and lower case are the same.

Any other key closes this help."""


def help_text(keys: Mapping[str, str]) -> str:
    """Return the help, with the keys of the states."""
    return _HELP.format(states="\n".join(f"  {key}  {label(state)}" for state, key in keys.items()))
