"""Stage 0: text of Debian packages as a corpus group.

    apt-get download dict-gcide dict-foldoc dict-vera dict-elements dict-devil linux-doc-6.1 ngspice-doc …
    for f in *.deb; do dpkg -x $f TREE; done
    python packages.py --tree TREE --out CORPUS/packages.jsonl.xz [--share gcide=0.3]

Reads the dictionaries of dictd (usr/share/dictd/NAME.index and NAME.dict.dz), the sources of Sphinx manuals
(usr/share/doc/NAME/html/_sources) and, of packages without such, their HTML pages (usr/share/doc). Of a dictionary,
each entry is a document whose lines are "headword: sense". Definitions that gcide took from WordNet are left out.
"""

import argparse
import glob
import gzip
import hashlib
import html.parser
import json
import lzma
import os
import re

DIGITS = {c: i for i, c in enumerate("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")}
LONGEST = 30_000  # characters of a document
# Of gcide: pronunciations, notes in brackets (etymologies, sources), authors of quotations.
PRONUNCIATION = re.compile(r"\\[^\\]*\\")
BRACKETS = re.compile(r"\[[^\[\]]*\]")
AUTHOR = re.compile(r"\s*--\s?[A-Z][\w. ]{0,30}\.?\s*$")
SENSE = re.compile(r"\n\s+(?=\d{1,2}\.\s|\([a-z]\)\s|Note:|Syn:)")
NUMBER = re.compile(r"^(?:\d{1,2}\.|\([a-z]\)|Note:|Syn:)\s*")
FIELD = re.compile(r"^(?:<[^>]*>|\([A-Z][\w. &,]*\))\s*")


def number(text):
    """A number of a dictd index."""
    value = 0
    for c in text:
        value = value * 64 + DIGITS[c]
    return value


def entries(path):
    """(headword, text) of every entry of a dictd dictionary, each text once."""
    with gzip.open(path + ".dict.dz") as f:
        data = f.read()
    seen = set()
    with open(path + ".index", encoding="utf-8") as lines:
        for line in lines:
            word, start, length = line.rstrip("\n").split("\t")[:3]
            if word.startswith("00") or (start, length) in seen:
                continue
            seen.add((start, length))
            at = number(start)
            yield word, data[at : at + number(length)].decode("utf-8", "replace")


def senses(word, text):
    """The headword and lines "headword: sense" of an entry."""
    text = text.replace("[WordNet", " WordNet [")
    head, body = text.strip("\n").split("\n", 1) if "\n" in text.strip("\n") else (text, "")
    if "\\" in head:  # gcide: synonyms lead to the entry, and its head has pronunciation, kind and origin
        word = head.split("\\")[0].strip()
        text = PRONUNCIATION.sub(" ", text)
        for _ in range(3):
            text = BRACKETS.sub(" ", text)
        text = re.sub(r"\(\w{2,8}\.\)", " ", text)
        body = re.sub(rf"^\s*{re.escape(word)}[\s,]*((n|a|v|t|i|adv|imp|p|pl|pr|vb|conj|prep|interj)\b[.,&;\s]*)*", "\n ", text)
    out = []
    for sense in SENSE.split("\n " + body):
        if "WordNet" in sense:
            continue
        sense = re.sub(r"\(\d{4}-\d\d-\d\d\)", "", sense)
        sense = BRACKETS.sub(" ", BRACKETS.sub(" ", sense))
        sense = re.sub(r"[{}]", "", " ".join(sense.split()))
        sense = AUTHOR.sub("", FIELD.sub("", NUMBER.sub("", sense.strip()).strip(" .,;"))).strip()
        letters = sum(c.isalpha() or c == " " for c in sense)
        if len(sense) >= 12 and letters > 0.8 * len(sense) and "(http" not in sense:
            out.append(f"{word}: {sense}")
    return word, out


def dictionary(path):
    name = "Debian dict-" + os.path.basename(path)
    for word, text in entries(path):
        word, lines = senses(word, text)
        if lines:
            yield {"source": name, "title": word, "text": "\n".join(lines)[:LONGEST]}


def prose(text):
    """Title and paragraphs of a reStructuredText page, without directives, code and tables."""
    title, out = "", []
    for block in re.split(r"\n\s*\n", text):
        lines = block.strip("\n").split("\n")
        if len(lines) > 1 and re.fullmatch(r"([=\-~^#*\"'`+])\1{2,}", lines[-1].strip()):
            heading = next((x.strip() for x in lines if re.search(r"[A-Za-z]", x)), "")
            title = title or heading
            out.append(heading)
            continue
        if lines[0].startswith((" ", "\t", "..", ":", "|", "+")):
            continue
        joined = " ".join(" ".join(lines).split())
        joined = re.sub(r":[\w:]+:`([^`<]*)[^`]*`", r"\1", joined)
        joined = re.sub(r"[`*_]{1,2}([^`*_]+)[`*_]{1,2}", r"\1", joined)
        letters = sum(c.isalpha() or c == " " for c in joined)
        if len(joined) >= 40 and letters > 0.85 * len(joined) and "@" not in joined and "Copyright" not in joined:
            out.append(joined)
    return title, out


def manual(root):
    name = "Debian " + root.split("/usr/share/doc/")[1].split("/")[0]
    seen = set()
    for path in sorted(glob.glob(root + "/**/*.txt", recursive=True)):
        if re.search(r"translations|MAINTAINERS|maintainers|/ABI/|index", path[len(root) :]):
            continue
        with open(path, encoding="utf-8", errors="replace") as f:
            title, lines = prose(f.read())
        lines = [x for x in lines if not (len(x) > 60 and x in seen)]
        seen.update(lines)
        whole = "\n".join(lines)
        if len(whole) >= 300:
            for at in range(0, len(whole), LONGEST):
                yield {"source": name, "title": title, "text": whole[at : at + LONGEST]}


class Page(html.parser.HTMLParser):
    """Headings and paragraphs of an HTML page, in their order: [(whether it is a heading, text)]."""

    BLOCKS = {"p", "li", "dd", "dt", "td", "th", "div", "section", "br", "tr", "h1", "h2", "h3", "h4", "h5", "h6", "title"}
    SKIPPED = {"script", "style", "pre", "nav", "header", "footer", "table", "math", "svg", "head", "select", "button"}

    def __init__(self, text):
        super().__init__()
        self.blocks, self.parts, self.skipped, self.heading = [], [], 0, False
        self.feed(text)
        self.end()

    def end(self):
        text = " ".join("".join(self.parts).split()).strip("¶ ")
        if text:
            self.blocks.append((self.heading, text))
        self.parts = []

    def handle_starttag(self, tag, attrs):
        if tag in self.SKIPPED:
            self.skipped += 1
        if tag in self.BLOCKS:
            self.end()
            self.heading = tag[0] == "h" and tag[1:].isdigit()

    def handle_endtag(self, tag):
        if tag in self.SKIPPED:
            self.skipped = max(0, self.skipped - 1)
        if tag in self.BLOCKS:
            self.end()
            self.heading = False

    def handle_data(self, data):
        if not self.skipped:
            self.parts.append(data)


def pages(root):
    """The HTML pages below a folder of usr/share/doc: a document for each heading that has at least 300 characters."""
    name = "Debian " + os.path.basename(root)
    seen = set()
    for path in sorted(glob.glob(root + "/**/*.html", recursive=True)):
        if re.search(r"source\.html|genindex|search|_modules|changelog|copyright|whatsnew|release", path[len(root) :]):
            continue
        with open(path, encoding="utf-8", errors="replace") as f:
            blocks = Page(f.read()).blocks
        title, lines = "", []
        for heading, text in [*blocks, (True, "")]:
            if heading:
                if sum(map(len, lines)) >= 300:
                    yield {"source": name, "title": title, "text": "\n".join(lines)[:LONGEST]}
                    lines = []
                title = re.sub(r"^[\d.]+\s+", "", text) if not lines else title
                continue
            letters = sum(c.isalpha() or c == " " for c in text)
            if len(text) >= 60 and letters > 0.85 * len(text) and text not in seen and "@" not in text and "Copyright" not in text:
                seen.add(text)
                lines.append(text)


def share(doc):
    """A number in [0, 1) that depends on the document alone."""
    return int(hashlib.sha256(f"{doc['source']}\n{doc['title']}\n{doc['text'][:200]}".encode()).hexdigest()[:8], 16) / 2**32


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--tree", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--share", nargs="*", default=[], help="PACKAGE=PART: keep this part of its documents")
    args = parser.parse_args()
    parts = {k: float(v) for k, v in (s.split("=") for s in args.share)}
    readers = [(dictionary, x.removesuffix(".index")) for x in glob.glob(os.path.join(args.tree, "usr/share/dictd/*.index"))]
    for root in glob.glob(os.path.join(args.tree, "usr/share/doc/*")):
        sources = os.path.join(root, "html/_sources")
        if os.path.realpath(sources) == os.path.realpath(root) + "/html/_sources":  # and no link to another package's
            readers.append((manual, sources) if os.path.isdir(sources) else (pages, root))
    counts = {}
    with lzma.open(args.out, "wt", encoding="utf-8", preset=1) as out:
        for reader, path in sorted(readers, key=lambda x: (x[0].__name__, x[1])):
            for doc in reader(path):
                if share(doc) < parts.get(doc["source"].split()[-1].removeprefix("dict-"), 1):
                    counts[doc["source"]] = counts.get(doc["source"], 0) + len(doc["text"])
                    out.write(json.dumps(doc, ensure_ascii=False) + "\n")
    print(counts)


if __name__ == "__main__":
    main()
