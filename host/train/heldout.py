"""Stage 5a: make the retrieval tests out of the held-out documents.

    python heldout.py --data DIR --tokenizer F --out testdata/eval/heldout.json.gz

--data holds prepare.py's heldout.jsonl.xz: documents that no training stage has seen. Writes

    {"texts": [{"source", "title", "text"}], "tasks": [{"name", "documents": [excerpt], "queries": [query]}]}

An excerpt is [text, from, to, from, to, ...], byte ranges of a text that are joined by line ends; text -1 - i is the
title of text i. A query is {"excerpt": excerpt, "document": index of the one right document}. A section that is a
query is cut out of its document, so that it cannot be found as a copy; a sentence of the long-document test stands
in it. Deterministic.
"""

import argparse
import gzip
import json
import lzma
import os
import random

from tokenizers import Tokenizer

from prepare import sentences

LONGEST = 8192
SHORT = 254


class Text:
    """A document with the byte range and the number of word pieces of each line."""

    def __init__(self, doc, tokenizer):
        lines = doc["text"].split("\n")
        if lines and lines[0] == doc["title"]:
            lines = lines[1:]
        counts = [len(e.ids) for e in tokenizer.encode_batch(lines, add_special_tokens=False)]
        kept, total = 0, 2
        while kept < len(lines) and total + counts[kept] <= LONGEST:
            total += counts[kept]
            kept += 1
        self.lines, self.counts, self.total = lines[:kept], counts[:kept], total
        self.source, self.title = doc["source"], doc["title"]
        self.ranges, at = [], 0
        for line in self.lines:
            size = len(line.encode())
            self.ranges.append((at, at + size))
            at += size + 1

    def window(self, first, most):
        """Lines from `first` on that fill at most `most` pieces."""
        at, total = first, 2
        while at < len(self.lines) and total + self.counts[at] <= most:
            total += self.counts[at]
            at += 1
        return list(range(first, at)), total

    def excerpt(self, number, lines):
        """Byte ranges of lines, runs of neighbours as one."""
        out = [number]
        for i in lines:
            low, high = self.ranges[i]
            if len(out) > 1 and out[-1] + 1 == low:
                out[-1] = high
            else:
                out += [low, high]
        return out


def sections(text, lines, count, rng):
    """Up to `count` lines of 50 to 250 pieces, not next to each other, away from both ends."""
    good = [i for i in lines[1:-1] if 50 <= text.counts[i] <= 250]
    rng.shuffle(good)
    picked = []
    for i in good:
        if all(abs(i - j) > 1 for j in picked):
            picked.append(i)
    return sorted(picked[:count])


def section_task(name, texts, low, most, count, rng):
    task = {"name": name, "documents": [], "queries": []}
    for number, text in enumerate(texts):
        if text.total < low:
            continue
        first = 0
        if text.total > 2 * most:  # not always a document's beginning
            first = rng.randrange(len(text.lines) // 2)
        lines, total = text.window(first, most + 200 * count)
        if total < low:
            continue
        picked = sections(text, lines, count, rng)
        if not picked:
            continue
        rest, left = [], 2
        for i in lines:
            if i not in picked and left + text.counts[i] <= most:
                rest.append(i)
                left += text.counts[i]
        for i in picked:
            task["queries"].append({"excerpt": text.excerpt(number, [i]), "document": len(task["documents"])})
        task["documents"].append(text.excerpt(number, rest))
    return task


def title_task(texts):
    task = {"name": "title → text (254)", "documents": [], "queries": []}
    for number, text in enumerate(texts):
        lines, total = text.window(0, SHORT)
        if len(text.title.split()) < 2 or total < 64:
            continue
        task["queries"].append({"excerpt": [-1 - number], "document": len(task["documents"])})
        task["documents"].append(text.excerpt(number, lines))
    return task


def question_task(texts):
    task = {"name": "question → answer (254)", "documents": [], "queries": []}
    seen = set()
    for number, text in enumerate(texts):
        for i, (q, a) in enumerate(zip(text.lines, text.lines[1:])):
            if not q.endswith("?") or not 4 <= len(q.split()) <= 20 or a.endswith("?") or len(a) < 120:
                continue
            if q in seen or text.counts[i + 1] > SHORT - 2:
                continue
            seen.add(q)
            task["queries"].append({"excerpt": text.excerpt(number, [i]), "document": len(task["documents"])})
            task["documents"].append(text.excerpt(number, [i + 1]))
    return task


def last_quarter_task(texts, low, count, rng):
    task = {"name": "sentence of the last quarter → document (2,048–8,192)", "documents": [], "queries": []}
    for number, text in enumerate(texts):
        if text.total < low:
            continue
        total, good = 0, []
        for i, line in enumerate(text.lines):
            total += text.counts[i]
            if total - text.counts[i] < 0.75 * text.total:
                continue
            for s in sentences(line):
                if 12 <= len(s.split()) <= 40 and text.lines[i].count(s) == 1:
                    at = text.ranges[i][0] + len(line[: line.index(s)].encode())
                    good.append([number, at, at + len(s.encode())])
        if not good:
            continue
        for e in rng.sample(good, min(count, len(good))):
            task["queries"].append({"excerpt": e, "document": len(task["documents"])})
        task["documents"].append(text.excerpt(number, range(len(text.lines))))
    return task


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", required=True)
    parser.add_argument("--tokenizer", required=True)
    parser.add_argument("--out", required=True)
    args = parser.parse_args()
    tokenizer = Tokenizer.from_file(args.tokenizer)
    tokenizer.no_padding()
    tokenizer.no_truncation()
    rng = random.Random(1)
    with lzma.open(os.path.join(args.data, "heldout.jsonl.xz"), "rt", encoding="utf-8") as lines:
        docs = [json.loads(line) for line in lines]
    texts = [Text(d, tokenizer) for d in docs if len(d["text"]) >= 300]
    tasks = [
        title_task(texts),
        question_task(texts),
        section_task("section → document (512)", texts, 400, 512, 1, rng),
        section_task("section → document (2,048)", texts, 1500, 2048, 2, rng),
        section_task("section → document (8,192)", texts, 5000, 8192, 3, rng),
        last_quarter_task(texts, 2048, 2, rng),
    ]
    used = sorted({e[0] if e[0] >= 0 else -1 - e[0] for t in tasks for e in t["documents"] + [q["excerpt"] for q in t["queries"]]})
    place = {number: i for i, number in enumerate(used)}
    for t in tasks:
        for e in t["documents"] + [q["excerpt"] for q in t["queries"]]:
            e[0] = place[e[0]] if e[0] >= 0 else -1 - place[-1 - e[0]]
        print(f"{t['name']}: {len(t['queries'])} queries, {len(t['documents'])} documents")
    out = {
        "texts": [{"source": x.source, "title": x.title, "text": "\n".join(x.lines)} for x in (texts[i] for i in used)],
        "tasks": tasks,
    }
    with open(args.out, "wb") as f, gzip.GzipFile("", "wb", 9, f, mtime=0) as z:
        z.write(json.dumps(out, ensure_ascii=False, separators=(",", ":")).encode())
    print(os.path.getsize(args.out), "bytes,", len(used), "texts")


if __name__ == "__main__":
    main()
