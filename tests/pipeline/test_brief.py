"""What the Builder is told of its checks: each line once."""

from app.domain.ticket import CommandCheck, FileCheck
from workers.pipeline.proof.brief import without_repeats

START = "\n".join(["import app", "server = app.start()", "wait(server)", "page = get('/')"])


def test_lines_of_an_earlier_check_are_named() -> None:
    first = CommandCheck(id="c1", criterion=0, run=f"{START}\nassert 'a' in page")
    other = FileCheck(id="c2", criterion=0, path="a.txt")
    second = CommandCheck(id="c3", criterion=1, run=f"x = 1\n{START}\nassert 'b' in page")
    few = CommandCheck(id="c4", criterion=1, run="import app\nserver = app.start()\nassert server")
    shown = without_repeats([first, other, second, few])
    assert shown[:2] == [first, other]
    assert shown[3] == few, "a note would be as long"
    told = second.model_copy(update={"run": "x = 1\n[4 lines as in c1, from its line 1]\nassert 'b' in page"})
    assert shown[2] == told
