"""weir-report as a process, and its page as a tree."""

import html.parser
import os
import pathlib
import subprocess

REPORT = os.environ["WEIR_REPORT"]
REPORTS = pathlib.Path(__file__).parent / "reports"
VOID = {"meta", "br", "link", "img", "input", "hr"}


def run(*arguments, stdin=b""):
    """Exit status, standard output, standard error."""
    result = subprocess.run([REPORT, *map(str, arguments)], input=stdin, capture_output=True, timeout=60, check=False)
    return result.returncode, result.stdout.decode(), result.stderr.decode()


class Node:
    def __init__(self, tag, attributes):
        self.tag, self.attributes, self.children = tag, attributes, []

    def all(self, tag=None, **attributes):
        """Nodes below this one, by tag and attributes; class_ is one of its classes."""
        for child in self.children:
            if isinstance(child, Node):
                classes = child.attributes.get("class", "").split()
                if (tag is None or child.tag == tag) and all(
                        value in classes if name == "class_" else child.attributes.get(name) == value
                        for name, value in attributes.items()):
                    yield child
                yield from child.all(tag, **attributes)

    def text(self):
        return "".join(child if isinstance(child, str) else child.text() for child in self.children).strip()


class Page(html.parser.HTMLParser):
    """A page whose every tag is closed where it should be; anything else is an error."""

    def __init__(self, text):
        super().__init__()
        self.root = Node("", {})
        self.open = [self.root]
        self.feed(text)
        self.close()
        assert self.open == [self.root], f"not closed: {[node.tag for node in self.open[1:]]}"

    def handle_starttag(self, tag, attrs):
        node = Node(tag, {name: value or "" for name, value in attrs})
        self.open[-1].children.append(node)
        if tag not in VOID:
            self.open.append(node)

    def handle_startendtag(self, tag, attrs):
        self.open[-1].children.append(Node(tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag):
        assert self.open[-1].tag == tag, f"</{tag}> closes <{self.open[-1].tag}>"
        self.open.pop()

    def handle_data(self, data):
        self.open[-1].children.append(data)

    def tables(self):
        """By the first words of their captions: rows of cells, the heading first."""
        return {table_caption(table): [[cell.text() for cell in row.children if isinstance(cell, Node)]
                                       for row in table.all("tr")] for table in self.root.all("table")}


def table_caption(table):
    return next(table.all("caption")).text().split(":")[0].split(",")[0]


def draw(*files, stdin=b""):
    status, out, err = run(*files, stdin=stdin)
    assert (status, err) == (0, ""), (status, err)
    return Page(out)


def main(tests):
    """Runs the functions, and says which one failed."""
    for test in tests:
        print(f"[ RUN  ] {test.__name__}", flush=True)
        test()
    print(f"{len(tests)} passed, 0 failed")
