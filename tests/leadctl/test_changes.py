"""leadctl changes."""

import json

from tests.leadctl.conftest import Office
from tests.leadctl.test_set_state import change_of
from tests.leadctl.test_undo import changed


def test_a_change_and_its_undo_name_each_other(office: Office) -> None:
    change = changed(office, office.submit(), office.submit())
    undoing = change_of(office.run("--verbose", "undo", change))
    lines = [line.split("\t") for line in office.data("changes", "-n", "2").splitlines()]
    assert [[line[0], *line[2:]] for line in lines] == [
        [undoing, "peter", "", "", "2", change, ""],
        [change, "peter", "", "ENGAGED", "2", "", undoing],
    ]


def test_json_is_the_apis_own(office: Office) -> None:
    change = changed(office, office.submit())
    [found] = json.loads(office.data("changes", "-n", "1", "-o", "json"))
    assert found.pop("at")
    expected = {"id": change, "user": "peter", "from": None, "to": "ENGAGED", "count": 1, "undoes": None}
    assert found == {**expected, "undone_by": []}
