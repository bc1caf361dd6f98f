"""The page at `/`: what is wrong comes first, all is escaped, and nothing is loaded."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest

from runtime_lib.serving.page.overview import render
from runtime_lib.serving.page.troubles import troubles
from runtime_lib.serving.status import read_status
from tests.support.markup import Page
from tests.support.statuses import HOSTILE, at, bad, empty, rich

STATES = {"rich": rich, "bad": bad, "empty": empty}


def page(state: dict[str, Any], **options: Any) -> Page:
    return Page(render(read_status(state), **options))


@pytest.mark.parametrize("make", STATES.values(), ids=STATES)
def test_a_page_stands_alone_and_is_whole(make):
    html = render(read_status(make()))
    assert Page(html).needs() == []
    assert "url(" not in html
    assert "@import" not in html


def test_what_people_wrote_is_text():
    found = page(bad())
    assert found.text["verdict"].count(HOSTILE) == 3
    assert found.text["history"].count(HOSTILE) == 4
    assert HOSTILE in found.text["versions"]
    assert HOSTILE in found.text["workers"]
    assert not [tag for tag, _ in found.tags if tag == "script"]


def test_what_is_wrong_is_said_first_the_worst_above():
    words = [trouble.words for trouble in troubles(read_status(bad()))]
    assert [trouble.tone for trouble in troubles(read_status(bad()))] == ["bad"] * 3 + ["look"] * 3
    starts = (
        "Worker w3 is not ready. It was restarted 5 times.",
        "Predictions cannot be logged, so none is given: no space left",
        "Version 7 goes back to version 5: Version 7 failed 214 of 1,120",
        "Worker w2 was restarted at 11:58:57 UTC, once in all.",
        "Version 7 failed 214 of 1,120 requests (19.1%).",
        "Version 9 is damaged",
    )
    assert all(said.startswith(start) for said, start in zip(words, starts, strict=True)), words
    found = page(bad()).text["verdict"]
    assert [found.index(said) for said in words] == sorted(found.index(said) for said in words)


@pytest.mark.parametrize(
    ("change", "headline"),
    [
        ({}, "All is well"),
        ({"workers": []}, "Not ready"),
        ({"workers": [{"name": "w1", "pid": 1, "ready": False, "since": at(9)}]}, "Not ready"),
        ({"log": {"failing": "the disk is full"}}, "Not answering"),
        ({"problems": ["The registry does not answer."]}, "Worth a look"),
    ],
    ids=["well", "no worker", "loading", "log", "problem"],
)
def test_the_headline_and_the_title_say_how_it_is(change, headline):
    html = render(read_status({**rich(), **change}))
    assert re.findall("<h1>(.*)</h1>", html) == [headline]
    assert f"<title>{headline} · flights</title>" in html


def test_a_worker_that_was_restarted_long_ago_is_no_trouble():
    state = rich()
    state["workers"][0] |= {"restarts": 3, "since": at(3_600)}
    assert troubles(read_status(state)) == []


def test_the_figures_are_there():
    found = page(rich()).text
    for place, words in {
        "tiles": ("1,207,520", "900", "7.91 ms", "4 of 4"),
        "traffic": ("version 5 90 %", "version 7 10 %", "version 8 shadow", "X-Mlops-Key", "Revision 12"),
        "versions": ("champion", "challenger", "1,203,400", "0.4312", "0.4212 to 0.4412, 20,123 rows"),
        "release": ("Version 7 against version 5, canary", "1 %", "50 %", "needs"),
        "shadows": ("88,120", "312", "0.0123"),
        "workers": ("w1", "118.0 MiB", "29 Nov 2026, 10:10"),
        "history": ("5: 99 % → 90 %, 7: 1 % → 10 %", "6: 100 % → 0 %, 5: 0 % → 100 %"),
        "series": ("Requests a second", "11:50", "11:59"),
    }.items():
        told = " ".join(found[place].split())
        assert not [each for each in words if each not in told], told
    assert found["history"].index("step") < found["history"].index("deploy")


def test_a_server_that_nobody_asked_yet_shows_no_empty_tables():
    found = page(empty())
    assert not {"release", "shadows", "series"} & found.text.keys()
    assert "Nobody has asked yet" in found.text["verdict"]
    assert "The traffic was not changed yet." in found.text["history"]


def test_a_version_keeps_its_colour_and_what_was_never_asked_is_not_drawn():
    html = render(read_status(rich()))
    drawn = re.findall(r'class="(?:curve )?own (v\d)"', html)
    assert set(drawn) == {"v0", "v1"}
    assert re.findall(r'<i class="(v\d)" style="flex: (\d+)">', html) == [("v0", "900"), ("v1", "100")]


def test_it_loads_again_by_itself_until_that_is_stopped():
    refresh = ("meta", {"http-equiv": "refresh", "content": "10"})
    assert refresh in page(rich()).tags
    still = page(rich(), reload=0)
    assert not [attrs for _, attrs in still.tags if "http-equiv" in attrs]


def test_a_status_is_json_and_back_and_another_document_is_refused():
    status = read_status(bad())
    assert read_status(msgspec.json.encode(status)) == status
    with pytest.raises(msgspec.ValidationError, match=r"traffic"):
        read_status({**rich(), "traffic": {"weights": {"5": "all"}}})
