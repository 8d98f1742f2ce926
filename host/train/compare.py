"""Stage 5b: what the teachers score on the tests of host/eval, on the CPU.

    python compare.py --heldout heldout.json.gz --sts sts-dev.tsv --tokenizer F --minilm DIR --mpnet DIR --out teachers.json

all-MiniLM-L6-v2 reads the first 256 pieces of a text, all-mpnet-base-v2 the first 384, as published; `both` is the
mean of their cosines. `MiniLM, mean of chunks` is the normalised mean of the vectors of all chunks of 254 pieces:
what the student's long texts were trained towards, at the cost of reading everything. Scores are written after each
task, so that a run may be cut short.
"""

import argparse
import gzip
import json
import math
import os

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer

from evaluate import Pairs
from teacher import CLS, SEP, Teacher, load


def embed(teacher, lists):
    """Unit vectors of id lists without special tokens, short ones first."""
    order = sorted(range(len(lists)), key=lambda i: len(lists[i]))
    out = [None] * len(lists)
    for at in range(0, len(order), 16):
        pick = order[at : at + 16]
        ids = torch.zeros(len(pick), 2 + len(lists[pick[-1]]), dtype=torch.long)
        for row, i in zip(ids, pick):
            row[: len(lists[i]) + 2] = torch.tensor([CLS, *lists[i], SEP])
        for v, i in zip(teacher.vectors(ids, (ids != 0).long()), pick):
            out[i] = v
    return torch.stack(out)


def chunked(teacher, lists, size=254):
    """Normalised means of the vectors of consecutive chunks."""
    chunks = [x[at : at + size] for x in lists for at in range(0, max(len(x), 1), size)]
    vectors = embed(teacher, chunks)
    sums = torch.zeros(len(lists), vectors.shape[1])
    at = 0
    for i, x in enumerate(lists):
        n = max(1, math.ceil(len(x) / size))
        sums[i] = vectors[at : at + n].sum(0)
        at += n
    return F.normalize(sums, dim=1)


def ranking(queries, documents, right):
    """nDCG@10 and recall@1 in percent, one right document a query."""
    score = queries @ documents.T
    own = score[torch.arange(len(right)), right]
    rank = 1 + (score >= own[:, None]).sum(1) - 1
    gain = [1 / math.log2(1 + r) if r <= 10 else 0.0 for r in rank.tolist()]
    return {"ndcg": round(100 * sum(gain) / len(gain), 1), "recall": round(100 * (rank == 1).float().mean().item(), 1)}


def main():
    parser = argparse.ArgumentParser()
    for name in ("heldout", "sts", "tokenizer", "minilm", "mpnet", "out"):
        parser.add_argument("--" + name, required=True)
    args = parser.parse_args()
    with gzip.open(args.heldout) as f:
        data = json.load(f)
    tokenizer = Tokenizer.from_file(args.tokenizer)
    tokenizer.no_padding()
    tokenizer.no_truncation()
    texts = [x["text"].encode() for x in data["texts"]]

    def ids(excerpts):
        out = []
        for e in excerpts:
            lines = [texts[e[0]][a:b] for a, b in zip(e[1::2], e[2::2])] if e[0] >= 0 else [data["texts"][-1 - e[0]]["title"].encode()]
            out.append(tokenizer.encode(b"\n".join(lines).decode(), add_special_tokens=False).ids)
        return out

    results = {"retrieval": {t["name"]: {} for t in data["tasks"]}, "sts": {}}

    def keep():
        with open(args.out + ".tmp", "w", encoding="utf-8") as f:
            json.dump(results, f, indent=1, ensure_ascii=False)
            f.write("\n")
        os.replace(args.out + ".tmp", args.out)

    def cut(lists, limit):
        return [x[: limit - 2] for x in lists]

    pairs = Pairs(args.sts, args.tokenizer)
    kept, sts = {}, {}
    for name, folder, limit in (("MiniLM", args.minilm, 256), ("mpnet", args.mpnet, 384)):
        teacher = Teacher(load(os.path.join(folder, "model.safetensors")), "cpu", torch.float32)
        sts[name] = []

        def encode(x, mask):
            v = embed(teacher, [row[1 : int(n) - 1].tolist() for row, n in zip(x, mask.sum(1))])
            sts[name].append(v)
            return v

        results["sts"][name] = pairs.scores(encode)
        keep()
        for t in data["tasks"]:
            right = torch.tensor([q["document"] for q in t["queries"]])
            queries, documents = ids([q["excerpt"] for q in t["queries"]]), ids(t["documents"])
            q, d = embed(teacher, cut(queries, limit)), embed(teacher, cut(documents, limit))
            kept[name, t["name"]] = q, d
            scores = results["retrieval"][t["name"]]
            scores[f"{name} ({limit})"] = ranking(q, d, right)
            if name == "mpnet":
                a, b = kept["MiniLM", t["name"]]
                scores["both"] = ranking(torch.cat([q, a], 1), torch.cat([d, b], 1), right)
            elif max(map(len, documents)) > limit:
                scores["MiniLM, mean of chunks"] = ranking(q, chunked(teacher, documents), right)
            print(t["name"], scores, flush=True)
            keep()
    joined = torch.cat([torch.cat(sts["MiniLM"]), torch.cat(sts["mpnet"])], 1) / math.sqrt(2)
    rows = iter(joined.split(1024))
    results["sts"]["both"] = pairs.scores(lambda x, mask: next(rows))
    keep()


if __name__ == "__main__":
    main()
