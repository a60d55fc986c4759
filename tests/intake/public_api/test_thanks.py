"""The page after the form was saved."""

from collections.abc import Callable

from intake.settings.parsers import Contact, Mailbox, contact
from tests.conftest import Intake
from tests.intake.public_api.forms import LOCAL, page


def test_it_says_which_mail_to_expect_and_whom_to_call(start: Callable[..., Intake]) -> None:
    intake = start(mail_from=Mailbox("intake@firm.example", "Marple & Wimsey"), firm_contact=Contact("020 7946 0000"))
    text = page(intake, "/thanks")
    assert "<title>Thank you – Marple &amp; Wimsey</title>" in text
    assert "<bdi>intake@firm.example</bdi>" in text
    assert "please contact us: <bdi>020 7946 0000</bdi>" in text
    assert text.count("020 7946 0000") == 1
    assert "please call us" in page(start(), "/thanks")


def test_a_telephone_number_or_an_address_is_a_link(start: Callable[..., Intake]) -> None:
    for setting, link in (
        ("tel:+44 20 7946 0000", '<a href="tel:+442079460000">+44 20 7946 0000</a>'),
        ("mailto:office@firm.example", '<a href="mailto:office@firm.example">office@firm.example</a>'),
    ):
        intake = start(firm_contact=contact(setting))
        assert all(f"<bdi>{link}</bdi>" in page(intake, path) for path in ("/", "/thanks"))


def test_it_loads_nothing_and_has_no_script(intake: Intake) -> None:
    answer = intake.client.get("/thanks", headers=LOCAL)
    assert "src=" not in answer.text
    assert "<script" not in answer.text
    policy = answer.headers["Content-Security-Policy"]
    assert "form-action 'none'" in policy
    assert "script-src" not in policy


def test_it_is_in_the_language_of_the_form(intake: Intake) -> None:
    assert '<html lang="de" dir="ltr">' in page(intake, "/thanks?lang=de")
    assert "Vielen Dank" in page(intake, "/thanks?lang=de")
