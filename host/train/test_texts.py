"""Tests of the programs that make texts: packages.py, code.py, triples.py. No package is needed.

    python -m unittest test_texts
"""

import gzip
import json
import lzma
import os
import sys
import tempfile
import unittest

import code_questions
import packages
import triples

ENTRIES = {
    "wheelbarrow": "Wheelbarrow \\Wheel\"bar`row\\, n.\n   1. A light frame with one wheel and two handles, used to carry earth.\n      [1913 Webster]\n\n   2. a cart for carrying small loads; has handles and one or more wheels. [WordNet 1.5]\n",
    "yard": "Yard\n   A unit of length of three feet, or thirty-six inches.\n",
}
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"


def base64_number(n):
    out = ""
    while n or not out:
        n, digit = divmod(n, 64)
        out = LETTERS[digit] + out
    return out


def run(main, *args):
    before = sys.argv
    sys.argv = ["program", *args]
    try:
        main()
    finally:
        sys.argv = before


class Packages(unittest.TestCase):
    def setUp(self):
        self.tree = tempfile.TemporaryDirectory()
        self.addCleanup(self.tree.cleanup)

    def write(self, path, data):
        path = os.path.join(self.tree.name, path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as f:
            f.write(data.encode() if isinstance(data, str) else data)

    def documents(self, *args):
        out = os.path.join(self.tree.name, "out.jsonl.xz")
        run(packages.main, "--tree", self.tree.name, "--out", out, *args)
        with lzma.open(out, "rt", encoding="utf-8") as f:
            return [json.loads(line) for line in f]

    def dictionary(self):
        data, index = b"", "00databaseshort\tA\tA\n"
        for word, text in ENTRIES.items():
            index += f"{word}\t{base64_number(len(data))}\t{base64_number(len(text.encode()))}\n"
            data += text.encode()
        self.write("usr/share/dictd/toy.index", index)
        self.write("usr/share/dictd/toy.dict.dz", gzip.compress(data))

    def test_dictionary(self):
        self.dictionary()
        docs = self.documents()
        self.assertEqual([d["title"] for d in docs], ["Wheelbarrow", "yard"])
        self.assertEqual(docs[0]["text"], "Wheelbarrow: A light frame with one wheel and two handles, used to carry earth")
        self.assertEqual(docs[1]["source"], "Debian dict-toy")
        self.assertNotIn("small loads", json.dumps(docs), "a definition of WordNet's")

    def test_numbers(self):
        for n in (0, 1, 63, 64, 4095, 4096, 123456789):
            self.assertEqual(packages.number(base64_number(n)), n)

    def test_manual(self):
        paragraph = "The scheduler keeps a queue of tasks for every processor and moves tasks between the queues when one is empty. " * 4
        page = f"Scheduling\n==========\n\n{paragraph}\n\n.. code-block:: c\n\n   int x = 1;\n\n::\n\n   $ make\n"
        self.write("usr/share/doc/kernel-doc/html/_sources/sched.rst.txt", page)
        self.write("usr/share/doc/kernel-doc/html/sched.html", f"<p>{paragraph}</p>")
        (doc,) = self.documents()
        self.assertEqual((doc["source"], doc["title"]), ("Debian kernel-doc", "Scheduling"))
        self.assertIn("moves tasks between the queues", doc["text"])
        self.assertNotIn("int x", doc["text"])

    def test_pages(self):
        paragraph = "A diode lets current pass in one direction alone, and its capacitance falls as the reverse voltage rises"
        page = "<html><head><title>no</title><style>p {}</style></head><body><nav><p>menu " + "menu " * 40 + "</p></nav>"
        for i, name in enumerate(("1.2 Diodes", "Transistors")):
            page += f"<h2>{name}</h2>" + "".join(f"<p>{paragraph}, as <b>figure</b> {'abcdefg'[i]} {'hijklmn'[k]} shows.</p>" for k in range(4))
            page += "<pre>.model d1 d(is=1e-14) and a long line of code that is no sentence at all but a netlist</pre>"
        self.write("usr/share/doc/circuits/html/manual.html", page)
        os.makedirs(os.path.join(self.tree.name, "usr/share/doc/again"))
        os.symlink("../circuits/html", os.path.join(self.tree.name, "usr/share/doc/again/html"))
        docs = self.documents()
        self.assertEqual([d["title"] for d in docs], ["Diodes", "Transistors"], "each once, though another package links to them")
        for doc in docs:
            self.assertEqual(doc["text"].count("A diode lets current pass"), 4)
            self.assertNotIn("netlist", doc["text"])
            self.assertNotIn("menu", doc["text"])

    def test_share(self):
        self.dictionary()
        self.assertEqual(self.documents("--share", "toy=0"), [])
        self.assertEqual(len(self.documents("--share", "toy=1", "other=0")), 2)


PYTHON = '''
class Queue:
    def push(self, item):
        """Add an item to the end of the queue. Waits while it is full.

        More about it.
        """
        while self.full():
            self.wait()
        self.items.append(item)

    def size(self):
        """The size."""
        return len(self.items)
'''
GO = '''package queue

// Push adds an item to the end of the queue.
// It waits while the queue is full.
func (q *Queue) Push(item any) {
	for q.full() {
		q.wait()
	}
	q.items = append(q.items, item)
}
'''


class Code(unittest.TestCase):
    def test_functions(self):
        with tempfile.TemporaryDirectory() as folder:
            for name, text in (("queue.py", PYTHON), ("queue.go", GO), ("queue_test.go", GO), ("notes.txt", GO)):
                with open(os.path.join(folder, name), "w", encoding="utf-8") as f:
                    f.write(text)
            found = {k: (s, f) for k, s, f in code_questions.functions("toy", folder)}
            self.assertEqual(list(found), ["toy/queue.go:Push", "toy/queue.py:push"])
            self.assertEqual(found["toy/queue.go:Push"][0], "adds an item to the end of the queue.")
            self.assertEqual(found["toy/queue.py:push"][0], "Add an item to the end of the queue.")
            self.assertEqual(found["toy/queue.py:push"][1].split("\n")[:2], ["def push(self, item):", "    while self.full():"])
            self.assertNotIn("//", found["toy/queue.go:Push"][1])
            out = os.path.join(folder, "out.json.gz")
            run(code_questions.main, "--packages", "toy=" + folder, "--each", "1", "--out", out)
            with gzip.open(out) as f:
                documents, queries, relevance = json.load(f)
            self.assertTrue(len(documents) == 1 and list(documents) == list(queries) == list(relevance))

    def test_first_sentence(self):
        for text, want in (
            ("Parse parses the text of a file. Then it stops.", "parses the text of a file."),
            ("Too short.", None),
            ("Return the value of :param x in the table of names", None),
            ("one two three four\nfive\n\nsix", "one two three four five"),
        ):
            self.assertEqual(code_questions.first_sentence(text, "Parse"), want)


class Triples(unittest.TestCase):
    def test_triples(self):
        rows = list(triples.triples())
        self.assertEqual(len(rows), 180)
        self.assertEqual(len({row[1] for row in rows}), 180, "a sentence stands twice")
        for kind, sentence, other, change in rows:
            self.assertEqual(len({sentence, other, change}), 3)
            shared = len(set(sentence.split()) & set(change.split())) / len(set(sentence.split()))
            self.assertGreaterEqual(shared, 0.5, f"{sentence} / {change}")
            if kind == "roles":
                self.assertEqual(sorted(sentence.split()), sorted(change.split()))


if __name__ == "__main__":
    unittest.main()
