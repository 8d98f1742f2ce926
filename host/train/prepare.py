"""Stage 1: turn the training corpus into packed token ids, and set held-out material aside.

    python prepare.py --corpus DIR --tokenizer tokenizer.json --sts sts-dev.tsv [--retrieval DIR] --out DIR [--share GROUP=PART ...]

Reads every `<group>.jsonl` or `<group>.jsonl.xz` of the corpus (one object a line: source, title, text), except a
group whose name ends in `sharealike`. --share keeps only a part of a group's documents.
Writes into --out:

    tokens.u16.xz    word-piece ids of all sentences, in document order, without [CLS] and [SEP]
    lengths.u8.xz    number of ids of each sentence (a longer sentence is cut into pieces of 250)
    docs.u32.xz      number of sentences of each document, then 1 if its first sentence is a title
    heldout.jsonl.xz documents that no later stage trains on (retrieval tests)
    prepare.json     counts, dropped sentences, sources

Deterministic: the held-out set is a hash of source, title and beginning of a document.
"""

import argparse
import glob
import gzip
import hashlib
import json
import lzma
import multiprocessing
import os
import re

import numpy as np
from tokenizers import Tokenizer

# Share-alike sources are left out, so that the weights carry no share-alike question.
SHARE_ALIKE = {
    "OWASP/CheatSheetSeries",
    "goldbergyoni/nodebestpractices",
    "awesome-selfhosted/awesome-selfhosted",
    "uberspot/OpenTriviaQA",
    "google-research-datasets/dstc8-schema-guided-dialogue",
    "privacyguides/privacyguides.org",
}

SENTENCE_END = re.compile(r"""(?<=[.!?])["'”’)\]]*\s+(?=["'“‘(\[]*[A-Z0-9])""")
ABBREVIATION = re.compile(r"(?:\b(?:Mr|Mrs|Ms|Dr|St|Prof|vs|etc|e\.g|i\.e|No|Fig|U\.S|[A-Z]))\.$")
WORD = re.compile(r"[a-z0-9]+")
LONGEST_PIECE = 250


def sentences(paragraph):
    """Splits a paragraph into sentences; a full stop after a common abbreviation does not end one."""
    out, held = [], ""
    for piece in SENTENCE_END.split(paragraph.strip()):
        held = f"{held} {piece}" if held else piece
        if ABBREVIATION.search(held):
            continue
        out.append(held)
        held = ""
    if held:
        out.append(held)
    return out


class Overlap:
    """Finds training sentences that equal, or nearly equal, an evaluation sentence."""

    def __init__(self, texts):
        self.exact, self.grams = set(), set()
        for text in texts:
            words = WORD.findall(text.lower())
            self.exact.add(" ".join(words))
            self.grams.update(self.four_grams(words))

    @staticmethod
    def four_grams(words):
        return {tuple(words[i : i + 4]) for i in range(len(words) - 3)}

    def hit(self, text):
        words = WORD.findall(text.lower())
        if len(words) >= 3 and " ".join(words) in self.exact:
            return True
        grams = self.four_grams(words)
        shared = sum(g in self.grams for g in grams)
        return shared >= 2 and shared >= 0.4 * len(grams)


def documents(folder, shares):
    """(group, document) of every file but share-alike ones; `shares` {group: part kept}, chosen by a hash."""
    for path in sorted(glob.glob(os.path.join(folder, "*.jsonl*"))):
        group = os.path.basename(path).split(".")[0]
        if group.endswith("sharealike"):
            continue
        opener = lzma.open if path.endswith(".xz") else open
        with opener(path, "rt", encoding="utf-8") as lines:
            for line in lines:
                doc = json.loads(line)
                if doc["source"] not in SHARE_ALIKE and fraction("share", doc) < shares.get(group, 1):
                    yield group, doc


def fraction(salt, doc):
    """A number in [0, 1) that depends on the document alone."""
    key = f"{salt}\n{doc['source']}\n{doc['title']}\n{doc['text'][:200]}"
    return int(hashlib.sha256(key.encode()).hexdigest()[:8], 16) / 2**32


def held_out(doc):
    """3 in 100 documents, and 8 in 100 of the long ones (retrieval at 8,192 tokens needs enough of them)."""
    key = f"{doc['source']}\n{doc['title']}\n{doc['text'][:200]}"
    bucket = int(hashlib.sha256(key.encode()).hexdigest()[:8], 16) % 1000
    return bucket < (80 if len(doc["text"]) > 28_000 else 30)


def write(path, array):
    with lzma.open(path, "wb", preset=6) as f:
        f.write(array.tobytes())


def evaluated(sts, retrieval):
    """The sentences of an STS file and, if there is a folder of retrieval sets, of their documents and queries."""
    with open(sts, encoding="utf-8") as f:
        texts = [text for line in f for text in line.rstrip("\n").split("\t")[2:4]]
    for path in sorted(glob.glob(os.path.join(retrieval, "*.json.gz"))) if retrieval else []:
        with gzip.open(path) as f:
            documents, queries, _ = json.load(f)
        texts += [s for text in (*documents.values(), *queries.values()) for s in sentences(text)]
    return texts


def start(tokenizer_path, sts, retrieval):
    """Of a worker process: its tokenizer and the sentences to keep out."""
    global tokenizer, overlap
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    tokenizer = Tokenizer.from_file(tokenizer_path)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    overlap = Overlap(evaluated(sts, retrieval))


def work(item):
    """(group, doc) -> group, doc, its pieces (None if it is held out), whether the first is a title, dropped sentences."""
    group, doc = item
    if held_out(doc):
        return group, doc, None, False, []
    lines = [s for paragraph in doc["text"].split("\n") for s in sentences(paragraph)]
    title = bool(doc["title"]) and len(doc["title"].split()) >= 2
    if title:
        lines.insert(0, doc["title"])
    hits = [overlap.hit(s) for s in lines]
    kept = [s for s, hit in zip(lines, hits) if not hit]
    pieces = []
    for encoding in tokenizer.encode_batch(kept, add_special_tokens=False):
        e = encoding.ids
        pieces += [np.asarray(e[at : at + LONGEST_PIECE], np.uint16) for at in range(0, len(e), LONGEST_PIECE)]
    title = title and bool(kept) and kept[0] == doc["title"]
    doc = {"source": doc["source"]}  # the text need not travel back
    return group, doc, pieces, title, [s for s, hit in zip(lines, hits) if hit]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--corpus", required=True)
    parser.add_argument("--tokenizer", required=True)
    parser.add_argument("--sts", required=True, help="evaluation sentences to keep out (columns 3 and 4)")
    parser.add_argument("--retrieval", help="folder of retrieval sets to keep out, too")
    parser.add_argument("--out", required=True)
    parser.add_argument("--share", nargs="*", default=[], help="GROUP=PART: keep this part of a group's documents")
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    args = parser.parse_args()
    os.makedirs(args.out, exist_ok=True)
    shares = {k: float(v) for k, v in (s.split("=") for s in args.share)}

    ids, lengths, docs, report, dropped = [], [], [], {}, []
    heldout = os.path.join(args.out, "heldout.jsonl.xz")
    with lzma.open(heldout, "wt", encoding="utf-8") as held, multiprocessing.Pool(
        args.processes, start, (args.tokenizer, args.sts, args.retrieval)
    ) as workers:
        for group, doc, pieces, title, hits in workers.imap(work, documents(args.corpus, shares), chunksize=64):
            counts = report.setdefault(doc["source"], {"documents": 0, "held_out": 0, "tokens": 0})
            if pieces is None:
                held.write(json.dumps({"group": group, **doc}, ensure_ascii=False) + "\n")
                counts["held_out"] += 1
                continue
            ids += pieces
            lengths += [len(p) for p in pieces]
            counts["documents"] += 1
            counts["tokens"] += sum(len(p) for p in pieces)
            docs.append((len(pieces), int(title)))
            dropped += hits

    tokens = np.concatenate(ids)
    write(os.path.join(args.out, "tokens.u16.xz"), tokens)
    write(os.path.join(args.out, "lengths.u8.xz"), np.asarray(lengths, np.uint8))
    write(os.path.join(args.out, "docs.u32.xz"), np.asarray(docs, np.uint32))
    summary = {
        "tokens": len(tokens), "sentences": len(lengths), "documents": len(docs), "shares": shares,
        "dropped_for_overlap": len(dropped), "dropped": dropped[:200], "sources": report,
    }
    with open(os.path.join(args.out, "prepare.json"), "w", encoding="utf-8") as f:
        json.dump(summary, f, indent=1, ensure_ascii=False)
    print({k: summary[k] for k in ("tokens", "sentences", "documents", "dropped_for_overlap")})


if __name__ == "__main__":
    main()
