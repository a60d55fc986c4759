"""Colors of the form's pages: each palette in light and dark mode."""

from collections.abc import Mapping

Colors = Mapping[str, str]

DEFAULT_PALETTE = "slate"

_LIGHT: Colors = {
    "page": "#f3f5f8",
    "card": "#ffffff",
    "text": "#1d2530",
    "quiet": "#566172",
    "line": "#dfe4ea",
    "edge": "#6b7686",
    "good": "#1b7a43",
    "bad": "#b3261e",
    "bad-page": "#fdf3f2",
    "on-accent": "#ffffff",
}
_DARK: Colors = {
    "page": "#11151b",
    "card": "#1a2029",
    "text": "#e7ebf1",
    "quiet": "#a6b0be",
    "line": "#323b47",
    "edge": "#8490a0",
    "good": "#74dca0",
    "bad": "#ff9d94",
    "bad-page": "#2a1e20",
    "on-accent": "#11151b",
}
_ACCENTS = {  # of links and buttons, in light and dark mode
    "slate": ("#334155", "#b6c6dc"),
    "blue": ("#1d4f91", "#9cc4ff"),
    "green": ("#1b6b43", "#86d9ab"),
    "burgundy": ("#7d1f3a", "#f5a6bb"),
    "violet": ("#5b3a9e", "#c9b3ff"),
}
PALETTES: Mapping[str, Mapping[str, Colors]] = {
    name: {"light": {**_LIGHT, "accent": light}, "dark": {**_DARK, "accent": dark}}
    for name, (light, dark) in _ACCENTS.items()
}
