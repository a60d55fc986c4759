"""The text of `?`."""

from collections.abc import Mapping

from leadctl.triage.keys import label

_HELP = """{states}

The first line shows the lead and its state. A key above moves the lead to that state, and goes to the \
next lead. The key of the lead's present state does nothing.

  s  skip: change nothing; the next leadctl triage shows the lead again
  b  go back to the lead before
  u  undo your last decision; repeat it to undo earlier ones

  j k  scroll by a line (also the arrow keys)
  Space  Page Down  Page Up  Home  End
  /  search in the text; n finds the next match, N the one before

  o  open the CV in your viewer
  w  save the CV in the current directory
  h  history of the lead
  c  clear a suspect lead: it is not spam, and its mails are queued
  Ctrl-L  draw the screen again
  q  quit (also Ctrl-C)

Each decision is saved on the server when the next lead appears. A colleague's decision is never \
overwritten: you see who it was. Leads that a colleague decided before you reach them are passed over; b \
goes back to them. Undo changes only what you decided since the start, and nothing that a colleague has \
changed since.

A held key decides one lead only. Enter never decides. Upper and lower case are the same, except for N.

Any other key closes this help."""

_PLAIN_HELP = """Enter shows the next page of the text. These letters, and Enter, move the lead to a state:
{states}
The others:
  s  skip: change nothing; the next leadctl triage shows the lead again
  b  go back to the lead before
  u  undo your last decision; repeat it to undo earlier ones
  h  history of the lead
  w  save the CV in the current directory
  c  clear a suspect lead: it is not spam, and its mails are queued
  q  quit
Leads that a colleague decided before you reach them are passed over; b goes back to them."""


def help_text(keys: Mapping[str, str]) -> str:
    """Return the help of the full screen, with the keys of the states."""
    return _HELP.format(states=_states(keys))


def plain_help_text(keys: Mapping[str, str]) -> str:
    """Return the help of `--plain`, with the keys of the states."""
    return _PLAIN_HELP.format(states=_states(keys))


def _states(keys: Mapping[str, str]) -> str:
    return "\n".join(f"  {key}  {label(state)}" for state, key in keys.items())
