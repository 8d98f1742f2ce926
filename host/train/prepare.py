"""Stage 1: turn the training corpus into packed token ids, and set held-out material aside.

    python prepare.py --corpus DIR --tokenizer tokenizer.json --sts sts-dev.tsv --out DIR

Reads every `<group>.jsonl` or `<group>.jsonl.xz` of the corpus (one object a line: source, title, text).
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
import hashlib
import json
import lzma
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


def documents(folder):
    for path in sorted(glob.glob(os.path.join(folder, "*.jsonl*"))):
        group = os.path.basename(path).split(".")[0]
        opener = lzma.open if path.endswith(".xz") else open
        with opener(path, "rt", encoding="utf-8") as lines:
            for line in lines:
                doc = json.loads(line)
                if doc["source"] not in SHARE_ALIKE:
                    yield group, doc


def held_out(doc):
    """3 in 100 documents, and 8 in 100 of the long ones (retrieval at 8,192 tokens needs enough of them)."""
    key = f"{doc['source']}\n{doc['title']}\n{doc['text'][:200]}"
    bucket = int(hashlib.sha256(key.encode()).hexdigest()[:8], 16) % 1000
    return bucket < (80 if len(doc["text"]) > 28_000 else 30)


def write(path, array):
    with lzma.open(path, "wb", preset=6) as f:
        f.write(array.tobytes())


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--corpus", required=True)
    parser.add_argument("--tokenizer", required=True)
    parser.add_argument("--sts", required=True, help="evaluation sentences to keep out (columns 3 and 4)")
    parser.add_argument("--out", required=True)
    args = parser.parse_args()
    os.makedirs(args.out, exist_ok=True)

    tokenizer = Tokenizer.from_file(args.tokenizer)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    with open(args.sts, encoding="utf-8") as f:
        rows = [line.rstrip("\n").split("\t") for line in f]
    overlap = Overlap([text for row in rows for text in row[2:4]])

    ids, lengths, docs, report = [], [], [], {}
    dropped = []
    with lzma.open(os.path.join(args.out, "heldout.jsonl.xz"), "wt", encoding="utf-8") as held:
        for group, doc in documents(args.corpus):
            counts = report.setdefault(doc["source"], {"documents": 0, "held_out": 0, "tokens": 0})
            if held_out(doc):
                held.write(json.dumps({"group": group, **doc}, ensure_ascii=False) + "\n")
                counts["held_out"] += 1
                continue
            lines = [s for paragraph in doc["text"].split("\n") for s in sentences(paragraph)]
            title = bool(doc["title"]) and len(doc["title"].split()) >= 2
            if title:
                lines.insert(0, doc["title"])
            kept = [s for s in lines if not overlap.hit(s)]
            dropped += [s for s in lines if overlap.hit(s)] if len(kept) < len(lines) else []
            title = title and bool(kept) and kept[0] == doc["title"]
            pieces = 0
            for n, encoding in enumerate(tokenizer.encode_batch(kept, add_special_tokens=False)):
                e = encoding.ids
                for at in range(0, len(e), LONGEST_PIECE):
                    part = e[at : at + LONGEST_PIECE]
                    ids.append(np.asarray(part, np.uint16))
                    lengths.append(len(part))
                    pieces += 1
            counts["documents"] += 1
            counts["tokens"] += int(sum(lengths[len(lengths) - pieces :]))
            docs.append((pieces, int(title)))

    tokens = np.concatenate(ids)
    write(os.path.join(args.out, "tokens.u16.xz"), tokens)
    write(os.path.join(args.out, "lengths.u8.xz"), np.asarray(lengths, np.uint8))
    write(os.path.join(args.out, "docs.u32.xz"), np.asarray(docs, np.uint32))
    summary = {
        "tokens": len(tokens), "sentences": len(lengths), "documents": len(docs),
        "dropped_for_overlap": len(dropped), "dropped": dropped[:200], "sources": report,
    }
    with open(os.path.join(args.out, "prepare.json"), "w", encoding="utf-8") as f:
        json.dump(summary, f, indent=1, ensure_ascii=False)
    print({k: summary[k] for k in ("tokens", "sentences", "documents", "dropped_for_overlap")})


if __name__ == "__main__":
    main()
