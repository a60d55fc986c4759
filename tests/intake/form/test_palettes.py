"""Contrast of the palettes (WCAG 2.2)."""

import itertools

import pytest

from intake.form.palettes import PALETTES

TEXT, EDGE = 4.5, 3.0  # success criteria 1.4.3 and 1.4.11


def luminance(color: str) -> float:
    channels = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def test_contrast_of_black_and_white() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)


@pytest.mark.parametrize(("name", "mode"), [*itertools.product(PALETTES, ("light", "dark"))])
def test_every_palette_has_sufficient_contrast(name: str, mode: str) -> None:
    colors = PALETTES[name][mode]
    for text, ground in (
        *itertools.product(("text", "quiet", "accent", "bad"), ("card",)),
        *itertools.product(("text", "bad"), ("bad-page",)),
        ("on-accent", "accent"),
    ):
        assert contrast(colors[text], colors[ground]) >= TEXT, (text, ground)
    for edge in ("edge", "accent", "bad", "good"):
        assert contrast(colors[edge], colors["card"]) >= EDGE, edge
