#!/usr/bin/env python3
"""weir-report: what its page holds, and what it says of files that are no reports."""

import json
import random
import re
import tempfile

from report_page import REPORTS, Page, draw, main, run


def numbers_of_a_component(page, name):
    return next(row for row in page.tables()["The same in numbers"] if row[0] == name)


def the_page_says_what_the_report_says():
    page = draw(REPORTS / "hung.json")
    assert next(page.root.all("h1")).text() == "How orders stopped"
    assert [badge.text() for badge in page.root.all(class_="badge")] == ["unclean"]
    facts = {dt.text(): dd.text() for dt, dd in zip(page.root.all("dt"), page.root.all("dd"))}
    assert facts == {"length": "20.861 s of 25 s", "first cause": "SIGTERM", "announcement": "5 s",
                     "exit status": "75, forced asked to stop, and something was cut or lost",
                     "in flight": "83 76 completed",
                     "cut or lost": "0 cancelled, stuck, undelivered, uncommitted"}, facts
    assert [item.text() for item in next(page.root.all(class_="problems")).all("li")] == [
        "rest drain did not return within 15.75 s and was given up; it still ran when the process left",
        "relay drain was cut at 20.75 s",
        "7 kept: not done, but safe",
        "not destroyed: rest (still running); relay, executor, inventory, producer, db, admin, telemetry "
        "(held by rest)"]
    assert numbers_of_a_component(page, "rest") == [
        "rest", "5.000", "announcement", "0.000", "abandoned 15.750", "20.500", "–", "20.750", "still running",
        "abandoned in drain"]
    assert numbers_of_a_component(page, "db") == [
        "db", "20.804", "relay", "–", "–", "–", "0.022", "23.600", "held by rest", "clean"]


def work_is_added_up():
    page = draw(REPORTS / "second-signal.json")
    rows = page.tables()["What was in flight when the ingress had closed"]
    assert rows[0] == ["component", "in flight", "completed", "cancelled", "stuck", "kept", "undelivered", "uncommitted"]
    assert ["consumer", "32", "20", "12", "0", "0", "0", "12"] in rows
    assert rows[-1] == ["all", "147", "127", "15", "0", "5", "0", "12"]


def the_critical_path_adds_up_to_the_stop():
    page = draw(REPORTS / "hung.json")
    assert [[part.text() for part in item.all("span")] for item in next(page.root.all("ol")).all("li")] == [
        ["announcement", "5 s"], ["rest drain", "15.75 s"], ["relay drain", "50 ms"], ["relay finish", "4 ms"],
        ["db finish", "22 ms"], ["telemetry finish", "35 ms"]]


def row_of(page, name):
    return next(row for row in page.root.all(class_="row") if row.attributes["class"] == "row"
                and next(row.all("b")).text() == name)


def the_chart_has_a_row_for_each_component_that_says_what_it_shows():
    page = draw(REPORTS / "hung.json")
    names = [next(row.all("b")).text() for row in page.root.all(class_="row") if row.attributes["class"] == "row"]
    assert names == [component["name"] for component in json.loads((REPORTS / "hung.json").read_text())["components"]]
    picture = next(row_of(page, "rest").all("svg", class_="track"))
    assert picture.attributes["role"] == "img"
    assert picture.attributes["aria-label"] == (
        "rest: abandoned in drain; its turn came at 5 s; quiesce 0; drain 15.75 s; latest end 20.75 s")
    titles = [title.text() for title in picture.all("title")]
    assert titles == [
        "may drain from 5 s until 20.5 s",
        "reserve, 250 ms to cut and 0 to finish: from 20.5 s to 20.75 s",
        "latest end: 20.75 s",
        "waited 5 s for pre_drain",
        "rest quiesce: clean, from 5 s, took 0",
        "rest drain: abandoned, from 5 s, took 15.75 s, told to cut at 20.5 s; on the critical path",
        "given up at 20.75 s; it may still run",
        "told to cut at 20.5 s"], titles


def percent(node, name):
    return float(node.attributes[name].rstrip("%"))


def the_chart_is_to_scale():
    page = draw(REPORTS / "hung.json")
    drain = next(row_of(page, "rest").all("svg", class_="drain"))
    assert (percent(drain, "x"), percent(drain, "width")) == (20, 63)
    path = next(row_of(page, "rest").all("line", class_="path"))
    assert (percent(path, "x1"), percent(path, "x2")) == (20, 83)


def a_stop_that_was_short_gets_most_of_the_width():
    page = draw(REPORTS / "clean.json")  # 5 s announced, 431 ms of work, 25 s allowed
    drain = next(row_of(page, "rest").all("svg", class_="drain"))
    assert (percent(drain, "x"), percent(drain, "width")) == (14, 44.594)
    assert len(list(page.root.all("rect", class_="piece"))) == 2


def signals_and_limits_are_marked():
    page = draw(REPORTS / "second-signal.json")
    marks = next(page.root.all("ul", **{"aria-label": "Times"}))
    assert [re.sub(r"^[A-Z0-9]", "", item.text()) for item in marks.all("li")] == [
        "0 SIGTERM", "8 s SIGTERM", "5 s the announcement is over", "8.223 s the process leaves",
        "14.3 s all work must have ended", "25 s the deadline"]


def several_reports_have_an_overview_that_leads_to_each():
    page = draw(REPORTS / "clean.json", REPORTS / "hung.json")
    assert next(page.root.all("h1")).text() == "2 stop reports"
    assert page.tables()["Overview"] == [
        ["service", "outcome", "began", "exit", "first cause", "length", "in flight", "cut or lost", "longest step"],
        ["orders", "clean", "2025-11-22 18:30:00 UTC", "0", "SIGTERM", "5.431 s of 25 s", "147", "0", "rest drain, 310 ms"],
        ["orders", "unclean", "2025-11-22 18:30:00 UTC", "75", "SIGTERM", "20.861 s of 25 s", "83", "0",
         "rest drain, 15.75 s"]]
    ids = [node.attributes["id"] for node in page.root.all() if "id" in node.attributes]
    assert len(ids) == len(set(ids)), ids
    for node in page.root.all():
        reference = node.attributes.get("href", "#" + node.attributes.get("aria-labelledby", ids[0]))
        assert reference[0] == "#" and reference[1:] in ids, reference


def names_are_text_whatever_they_hold():
    page = draw(REPORTS / "odd.json")
    assert not {node.tag for node in page.root.all()} & {"script", "img", "link", "iframe", "object"}
    assert not any(name.startswith("on") for node in page.root.all() for name in node.attributes)
    assert next(page.root.all("h2")).text() == "<script>alert(1)</script>"
    assert row_of(page, '"a'[1:] + '"><img src=x onerror=alert(1)>')


def nothing_is_fetched():
    status, text, _ = run(REPORTS / "hung.json", REPORTS / "odd.json")
    assert status == 0
    assert "default-src 'none'" in text
    assert set(re.findall(r"url\(([^)]*)\)", text)) == {"#hatch", "#stripes"}
    assert not re.findall(r"""(?:src|href|action)\s*=\s*["'](?!#)""", re.sub(r"&[a-z#0-9]+;[^<]*", "", text))
    assert "@import" not in text


def a_service_that_was_killed_says_so():
    page = draw("-", stdin=b'{"weir_report": 1, "service": "gone", "outcome": "running", "pid": 4711}\n')
    assert next(page.root.all(class_="badge")).text() == "no report"
    assert next(p.text() for p in page.root.all("p") if "There is no" in p.text()) == (
        "There is no report of this run: the process (4711) was killed, or still runs. A service writes this file "
        "when it starts, and puts the report in its place when it has stopped.")


def reports_are_found_in_a_log():
    log = b'{"time":"2025","message":"stopping"}\nstopping, 2.0 s\n' + (REPORTS / "clean.json").read_bytes() + \
        b'{"message":"x"}\n' + (REPORTS / "hung.json").read_bytes()
    page = draw("-", stdin=log)
    assert [p.text() for p in page.root.all("p", class_="source")] == [
        "2025-11-22 18:30:00 UTC · standard input", "2025-11-22 18:30:00 UTC · standard input, report 2"]


def what_a_report_lacks_is_said_and_the_rest_is_drawn():
    page = draw("-", stdin=b'{"weir_report": 1, "service": "old", "outcome": "clean", "new_member": [1, {"a": null}],'
                           b' "components": [{"name": "db", "steps": {"finish": {"at": 0, "used": 7, "outcome": "clean"}}}]}')
    assert next(page.root.all("p", class_="note")).text() == "This report lacks elapsed, limit, total, cause; the rest is drawn."
    assert numbers_of_a_component(page, "db") == ["db", "–", "–", "–", "–", "–", "0.007", "–", "–", "clean"]


def what_is_no_report_is_named_with_file_and_line():
    hung = (REPORTS / "hung.json").read_bytes()
    for text, expected in [
            (b"", "empty: no stop report"),
            (b"stop clean: 5.431 s\n", "no stop report: it is no JSON document, and no line of it begins one with "
                                      '{"weir_report": ...'),
            (b'{"weir_plan": 1}', 'line 1: no stop report: it has no member "weir_report"'),
            (b'{"weir_report": 2}', "line 1: a report of version 2; this weir-report reads version 1: take the one of "
                                    "that release"),
            (b'log\n{"weir_report": 1,\n "exit": "many"}', 'line 3, column 10: exit: "many" is not a number'),
            (hung[:700], "line 1: a report begins here, and is cut off"),
            (b'{"weir_report": 1, "components": [' + b'{"name": "\xff"}]}', "line 1, column 45: not UTF-8"),
    ]:
        status, out, err = run("-", stdin=text)
        assert (status, out) == (65, ""), (text[:40], status, out[:100])
        assert err.startswith(f"weir-report: standard input: {expected}") and err.count("\n") == 1, err


def what_is_wrong_does_not_keep_the_rest_from_being_drawn():
    with tempfile.TemporaryDirectory() as folder:
        page = f"{folder}/page.html"
        status, out, err = run("--output", page, REPORTS / "none.json", REPORTS / "clean.json")
        assert (status, out) == (66, "")
        assert err == f"weir-report: {REPORTS}/none.json: No such file or directory\n", err
        with open(page, encoding="utf-8") as file:
            assert next(Page(file.read()).root.all("h1")).text() == "How orders stopped"
        assert run(REPORTS, "-o", page)[0] == 66  # a directory
        status, _, err = run("-o", f"{folder}/none/page.html", REPORTS / "clean.json")
        assert (status, err) == (74, f"weir-report: {folder}/none/page.html: No such file or directory\n"), (status, err)


def damaged_reports_are_refused_or_drawn_and_nothing_worse():
    whole = (REPORTS / "hung.json").read_bytes()
    chance = random.Random(9)
    drawn = 0
    for _ in range(80):
        text = bytearray(whole)
        for _ in range(chance.randint(1, 3)):
            at = chance.randrange(len(text))
            number = re.search(rb"\d+", bytes(text[at:]))
            if number and chance.random() < .6:  # a number that makes no sense
                begin = at + number.start()
                text[begin:at + number.end()] = chance.choice([b"-1", b"0", b"9223372036854775807", b"-9223372036854775808"])
            else:
                text[at] = chance.choice(b' "{}[]:,\\x\xff\x00')
        status, out, err = run("-", stdin=bytes(text))
        assert (status == 0 and not err) or (status == 65 and err.startswith("weir-report: ")), (status, err, bytes(text))
        if out:
            Page(out)
            drawn += 1
    assert drawn > 10, drawn


def arguments_are_as_everywhere():
    assert run("--help")[0] == 0 and run("--help")[1].startswith("usage: weir-report [--output FILE] FILE...\n")
    assert run("--version")[1].startswith("weir-report (weir ")
    for arguments, expected in [([], "no file is given"), (["--nonsense"], "does not know --nonsense"),
                                (["x", "-o"], "-o wants a file")]:
        status, out, err = run(*arguments)
        assert (status, out, err) == (64, "", f"weir-report: {expected}; weir-report --help shows the usage\n"), err
    assert run("--", "-none")[2] == "weir-report: -none: No such file or directory\n"


main([the_page_says_what_the_report_says, work_is_added_up, the_critical_path_adds_up_to_the_stop,
      the_chart_has_a_row_for_each_component_that_says_what_it_shows, the_chart_is_to_scale,
      a_stop_that_was_short_gets_most_of_the_width, signals_and_limits_are_marked,
      several_reports_have_an_overview_that_leads_to_each, names_are_text_whatever_they_hold, nothing_is_fetched,
      a_service_that_was_killed_says_so, reports_are_found_in_a_log, what_a_report_lacks_is_said_and_the_rest_is_drawn,
      what_is_no_report_is_named_with_file_and_line, what_is_wrong_does_not_keep_the_rest_from_being_drawn,
      damaged_reports_are_refused_or_drawn_and_nothing_worse, arguments_are_as_everywhere])
