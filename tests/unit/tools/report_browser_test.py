#!/usr/bin/env python3
"""The page of weir-report in a real Chromium, driven by chromedriver (W3C WebDriver).

    WEIR_REPORT=build/dev/framework/tools/report/weir-report report_browser_test.py [FOLDER]

Leaves pictures in FOLDER, if one is given, to be looked at."""

import base64
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import urllib.request

from report_page import REPORTS, main, run

PHONE, DESK = (360, 740), (1280, 900)
PICTURES = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else None


class Browser:
    """One session of chromedriver, on a port of its own choice."""

    def __enter__(self):
        self.driver = subprocess.Popen(["chromedriver", "--port=0"], stdout=subprocess.PIPE,
                                       stderr=subprocess.DEVNULL, text=True)
        try:
            line = next(line for line in self.driver.stdout if "successfully" in line)
            self.base = f"http://127.0.0.1:{re.search(r'port ([0-9]+)', line).group(1)}/session"
            options = {"args": ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]}
            answer = self.ask("", {"capabilities": {"alwaysMatch": {"goog:chromeOptions": options}}})
            self.base += f"/{answer['sessionId']}"
        except BaseException:
            self.driver.kill()
            raise
        return self

    def __exit__(self, *_):
        urllib.request.urlopen(urllib.request.Request(self.base, method="DELETE"), timeout=30)
        self.driver.terminate()
        self.driver.wait(30)

    def ask(self, path, body):
        request = urllib.request.Request(self.base + path, json.dumps(body).encode(),
                                         {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)["value"]

    def tell(self, command, **parameters):
        return self.ask("/goog/cdp/execute", {"cmd": command, "params": parameters})

    def js(self, script):
        return self.ask("/execute/sync", {"script": script, "args": []})

    def show(self, *files, size=DESK, dark=False):
        self.tell("Emulation.setDeviceMetricsOverride", width=size[0], height=size[1], deviceScaleFactor=1,
                  mobile=size == PHONE)
        self.tell("Emulation.setEmulatedMedia",
                  features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])
        page = pathlib.Path(FOLDER) / "page.html"
        assert run("-o", page, *(REPORTS / file for file in files)) == (0, "", "")
        self.ask("/url", {"url": page.as_uri()})

    def picture(self, name):
        if PICTURES:
            PICTURES.mkdir(parents=True, exist_ok=True)
            data = self.tell("Page.captureScreenshot", captureBeyondViewport=True)["data"]
            (PICTURES / f"{name}.png").write_bytes(base64.b64decode(data))


ALL = ("clean.json", "hung.json", "second-signal.json", "odd.json")

# Boxes of the elements that a selector finds; those that are not shown are left out.
BOXES = """return [...document.querySelectorAll(%r)].map(e => [e.getBoundingClientRect(), e.textContent])
    .filter(([r]) => r.width > 0).map(([r, t]) => [r.left, r.top, r.right, r.bottom, t])"""


def fits_and_is_read(size, dark):
    def test():
        BROWSER.show(*ALL, size=size, dark=dark)
        BROWSER.picture(f"{'phone' if size == PHONE else 'desk'}-{'dark' if dark else 'light'}")
        width = BROWSER.js("return [document.documentElement.scrollWidth, innerWidth]")
        assert width[0] <= width[1], f"wider than the window: {width}"
        for x1, _, x2, _, text in BROWSER.js(BOXES % "h1, h2, h3, p, dd, .problems li, .row .name, .legend li, .axis text"):
            assert x1 >= 0 and x2 <= width[1], f"cut off: {text}"
        bad = BROWSER.js(CONTRAST)
        assert not bad, f"hard to read: {bad}"
    test.__name__ = f"at_{size[0]}_pixels_{'dark' if dark else 'light'}_all_is_within_the_page_and_can_be_read"
    return test


# WCAG 2.1, 1.4.3: at least 4.5 to 1 between text and what is behind it.
CONTRAST = """
const luminance = c => c.map(v => (v /= 255) <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
const parse = c => (c.match(/[\\d.]+/g) || [0, 0, 0, 0]).map(Number);
const behind = e => { for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor);
    if (c.length < 4 || c[3] > 0) return c.slice(0, 3); } return [255, 255, 255]; };
const bad = [];
for (const e of document.querySelectorAll('body *:not(svg *)')) {
    if (![...e.childNodes].some(n => n.nodeType === 3 && n.data.trim())) continue;
    const style = getComputedStyle(e), back = behind(e), alpha = +style.opacity;
    const ink = parse(style.color).slice(0, 3).map((v, i) => v * alpha + back[i] * (1 - alpha));
    const [a, b] = [luminance(ink), luminance(back)].sort((x, y) => y - x);
    const ratio = (a + .05) / (b + .05);
    if (ratio < 4.5) bad.push(e.className + ' ' + e.textContent.slice(0, 20) + ' ' + ratio.toFixed(2));
}
return [...new Set(bad)];
"""


def labels_of_the_axis_do_not_overlap():
    for size in (PHONE, DESK):
        BROWSER.show(*ALL, size=size)
        boxes = BROWSER.js(BOXES % ".axis text.minor, .axis text.major") + BROWSER.js(BOXES % ".axis .flag circle")
        for i, a in enumerate(boxes):
            for b in boxes[:i]:
                apart = a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]
                assert apart, f"{a} over {b} at {size}"


def bars_stand_where_their_times_are():
    BROWSER.show("hung.json")
    left, right = BROWSER.js("""const [name, r] = ['rest', document.querySelectorAll('.row:not(.axis)')]
        const row = [...r].find(x => x.querySelector('b').textContent === name), t = row.querySelector('.track');
        const b = row.querySelector('.drain rect').getBoundingClientRect(), w = t.getBoundingClientRect();
        return [(b.left - w.left) / w.width, (b.right - w.left) / w.width]""")
    assert abs(left - 5 / 25) < .002 and abs(right - 20.75 / 25) < .002, (left, right)


def the_critical_path_is_one_line_from_row_to_row():
    BROWSER.show("second-signal.json")
    pieces = BROWSER.js("""return [...document.querySelectorAll('.link')].map(e => e.getBoundingClientRect())
        .map(r => [r.left, r.top, r.bottom]).sort((a, b) => a[0] - b[0] || a[1] - b[1])""")
    for before, after in zip(pieces, pieces[1:]):
        if abs(before[0] - after[0]) < .5:
            assert abs(before[2] - after[1]) < 2.5, f"a gap: {before} {after}"


def dark_and_light_differ():
    seen = set()
    for dark in (False, True):
        BROWSER.show("hung.json", dark=dark)
        seen.add(BROWSER.js("return getComputedStyle(document.body).backgroundColor"))
    assert len(seen) == 2, seen


def nothing_is_fetched_and_nothing_runs():
    BROWSER.show(*ALL)
    assert BROWSER.js("return performance.getEntriesByType('resource').length") == 0
    assert BROWSER.js("return document.scripts.length + document.images.length") == 0
    assert BROWSER.js("return document.querySelector('h2').textContent") == "orders"


def screen_readers_hear_each_row():
    BROWSER.show("hung.json")
    tree = BROWSER.tell("Accessibility.getFullAXTree")["nodes"]
    named = [(node["role"]["value"], node.get("name", {}).get("value", "")) for node in tree if not node["ignored"]]
    assert ("image", "rest: abandoned in drain; its turn came at 5 s; quiesce 0; drain 15.75 s; latest end 20.75 s") in named
    assert any(role == "table" and "The same in numbers" in name for role, name in named)
    nameless = [role for role, name in named if role in ("image", "figure", "table", "region") and not name]
    assert not nameless, nameless


def it_prints_on_paper():
    BROWSER.show(*ALL, dark=True)
    paper = base64.b64decode(BROWSER.ask("/print", {"page": {"width": 21, "height": 29.7}}))
    pages = len(re.findall(rb"/Type\s*/Page\b", paper))
    assert 4 <= pages <= 14, pages
    if PICTURES:
        (PICTURES / "print.pdf").write_bytes(paper)


with tempfile.TemporaryDirectory() as FOLDER, Browser() as BROWSER:
    main([fits_and_is_read(size, dark) for size in (DESK, PHONE) for dark in (False, True)] +
         [labels_of_the_axis_do_not_overlap, bars_stand_where_their_times_are,
          the_critical_path_is_one_line_from_row_to_row, dark_and_light_differ, nothing_is_fetched_and_nothing_runs,
          screen_readers_hear_each_row, it_prints_on_paper])
