"""The documentation's pictures of the form (`make screenshots`), from a real browser."""

import shutil
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from tests.browser.conftest import CHROMIUMS, FORM, QUIET
from tests.system.programs import Service, clean_environment

# a name, the language, width and height in pixels, and whether the form has errors
PICTURES = (("phone", "en", 390, 844, True), ("desktop", "de", 1000, 760, False))


def main(directory: Path) -> None:
    """Write the pictures into a directory."""
    with tempfile.TemporaryDirectory() as home, sync_playwright() as playwright:
        (Path(home) / "form.toml").write_text(FORM, encoding="utf-8")
        settings = {"INTAKE_FORM": "form.toml", "INTAKE_FIRM_CONTACT": "020 7946 0000"}
        program = next(filter(None, map(shutil.which, CHROMIUMS)))
        with Service(clean_environment(Path(home), **settings), Path(home)) as service:
            browser = playwright.chromium.launch(executable_path=program, args=QUIET)
            for name, language, width, height, has_errors in PICTURES:
                tab = browser.new_page(viewport={"width": width, "height": height})
                tab.goto(f"{service.url}/?lang={language}")
                if has_errors:
                    tab.locator("[name=f_name]").fill("Ada")
                    tab.locator("form").evaluate("form => { form.noValidate = true; form.requestSubmit() }")
                    tab.locator(".summary").wait_for()
                tab.screenshot(path=directory / f"form-{name}.png")
            browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
