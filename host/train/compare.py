"""Stage 5b: what the teachers score on the tests of host/eval.

    python compare.py --heldout heldout.json.gz --sts sts-dev.tsv --code code.json.gz --triples triples.tsv --tokenizer F \
        --minilm DIR --mpnet DIR --bge F.onnx --out teachers.json

all-MiniLM-L6-v2 reads the first 256 pieces of a text, all-mpnet-base-v2 the first 384, as published; `both` is the
mean of their cosines. `best chunk` ranks documents by the best of their chunks of 254 pieces, as people search long
documents with them; `mean of chunks` by the normalised mean of the chunks' vectors, what the student's long texts were
trained towards. bge-small-en-v1.5 reads 512 pieces, queries after its instruction. Scores are added to --out after each
task, and those that stand there are not computed again. The chunks take hours on a CPU and seconds on a GPU.
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
from pool import INSTRUCTIONS
from teacher import CLS, SEP, Teacher, from_onnx, plain


def embed(teacher, lists):
    """Unit vectors of id lists without special tokens, on the CPU; short ones first."""
    order = sorted(range(len(lists)), key=lambda i: len(lists[i]))
    count = 16 if teacher.device == "cpu" else 256
    out = [None] * len(lists)
    for at in range(0, len(order), count):
        pick = order[at : at + count]
        ids = torch.zeros(len(pick), 2 + len(lists[pick[-1]]), dtype=torch.long)
        for row, i in zip(ids, pick):
            row[: len(lists[i]) + 2] = torch.tensor([CLS, *lists[i], SEP])
        ids = ids.to(teacher.device)
        for v, i in zip(teacher.vectors(ids, (ids != 0).long()).float().cpu(), pick):
            out[i] = v
    return torch.stack(out)


def chunked(teacher, lists, size=254):
    """Vectors of consecutive chunks, and the number of the list that each is of."""
    chunks = [(i, x[at : at + size]) for i, x in enumerate(lists) for at in range(0, max(len(x), 1), size)]
    return embed(teacher, [x for _, x in chunks]), torch.tensor([i for i, _ in chunks])


def ranking(queries, documents, right, owner=None):
    """nDCG@10 and recall@1 in percent, one right document a query. With `owner`, `documents` are chunks of the documents
    that it numbers, and a document's score is its best chunk's."""
    score = queries @ documents.T
    if owner is not None:
        best = torch.full((len(queries), int(owner.max()) + 1), -2.0)
        score = best.scatter_reduce(1, owner.expand(len(queries), -1), score, "amax")
    own = score[torch.arange(len(right)), right]
    rank = 1 + (score >= own[:, None]).sum(1) - 1
    gain = [1 / math.log2(1 + r) if r <= 10 else 0.0 for r in rank.tolist()]
    return {"ndcg": round(100 * sum(gain) / len(gain), 1), "recall": round(100 * (rank == 1).float().mean().item(), 1)}


def main():
    parser = argparse.ArgumentParser()
    for name in ("heldout", "sts", "code", "triples", "tokenizer", "minilm", "mpnet", "bge", "out"):
        parser.add_argument("--" + name, required=True)
    systems = ["MiniLM (256)", "mpnet (384)", "both", "MiniLM", "mpnet", "bge-small"]
    systems += [f"{name}, {way}" for name in ("MiniLM", "bge-small") for way in ("best chunk", "mean of chunks")]
    parser.add_argument("--systems", nargs="*", default=systems)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--tasks", type=int, nargs="*", help="numbers of the retrieval tests, for a share of the work")
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

    results = {"retrieval": {}, "sts": {}, "code": {}, "triples": {}}
    if os.path.exists(args.out):
        with open(args.out, encoding="utf-8") as f:
            results |= json.load(f)

    def keep():
        with open(args.out + ".tmp", "w", encoding="utf-8") as f:
            json.dump(results, f, indent=1, ensure_ascii=False)
            f.write("\n")
        os.replace(args.out + ".tmp", args.out)

    pairs = Pairs(args.sts, args.tokenizer)
    folders = {"MiniLM": (args.minilm, 256), "mpnet": (args.mpnet, 384), "bge-small": (args.bge, 512)}
    teachers, vectors = {}, {}

    def teacher(name):
        if name not in teachers:
            bge = name == "bge-small"
            weights = (from_onnx if bge else plain)(folders[name][0])
            teachers[name] = Teacher(weights, args.device, torch.float32, first=bge)
        return teachers[name]

    def read(name, task):
        """Vectors of a task's queries and documents, cut as the teacher was published."""
        key = name, task["name"]
        if key not in vectors:
            limit = folders[name][1]
            lists = ids([q["excerpt"] for q in task["queries"]]), ids(task["documents"])
            vectors[key] = [embed(teacher(name), [x[: limit - 2] for x in part]) for part in lists]
        return vectors[key]

    def pool_mark(name):
        mark = INSTRUCTIONS["bge"] if name == "bge-small" else ""
        return tokenizer.encode(mark, add_special_tokens=False).ids

    def alone(name):
        return lambda task: read(name, task)

    def both(task):
        return [torch.cat(x, 1) for x in zip(read("MiniLM", task), read("mpnet", task))]

    pieces = {}

    def chunks(name, mean):
        """Queries, chunks and their documents' numbers, or the documents' means of chunks."""

        def ways(task):
            key = name, task["name"]
            if key not in pieces:
                mark = pool_mark(name)
                asked = [(mark + x)[: folders[name][1] - 2] for x in ids([q["excerpt"] for q in task["queries"]])]
                pieces[key] = embed(teacher(name), asked), *chunked(teacher(name), ids(task["documents"]))
            queries, vectors, owner = pieces[key]
            if not mean:
                return queries, vectors, owner
            sums = torch.zeros(int(owner.max()) + 1, vectors.shape[1]).index_add_(0, owner, vectors)
            return queries, F.normalize(sums, dim=1), None

        return ways

    plans = [("MiniLM (256)", alone("MiniLM")), ("mpnet (384)", alone("mpnet")), ("both", both)]
    plans += [(f"{name}, {way}", chunks(name, way != "best chunk")) for name in ("MiniLM", "bge-small") for way in ("best chunk", "mean of chunks")]
    for label, ways in plans:
        for t in (data["tasks"][i] for i in args.tasks or range(len(data["tasks"]))):
            scores = results["retrieval"].setdefault(t["name"], {})
            if label in scores or label not in args.systems:
                continue
            right = torch.tensor([q["document"] for q in t["queries"]])
            queries, documents, *owner = ways(t)
            scores[label] = ranking(queries, documents, right, *owner)
            print(t["name"], label, scores[label], flush=True)
            keep()
    sts = {}
    for name in folders:
        if name in results["sts"] or name not in args.systems:
            continue
        rows = [x[x != 0][1:-1].tolist() for x in pairs.ids]
        sts[name] = embed(teacher(name), rows)
        parts = iter(sts[name].split(1024))
        results["sts"][name] = pairs.scores(lambda x, mask: next(parts))
        keep()
    if "MiniLM" in sts and "mpnet" in sts:
        parts = iter((torch.cat([sts["MiniLM"], sts["mpnet"]], 1) / math.sqrt(2)).split(1024))
        results["sts"]["both"] = pairs.scores(lambda x, mask: next(parts))
        keep()
    cut = lambda texts, limit: [e.ids[: limit - 2] for e in tokenizer.encode_batch(texts, add_special_tokens=False)]
    with gzip.open(args.code) as f:
        documents, queries, _ = json.load(f)
    with open(args.triples, encoding="utf-8") as f:
        triples = [line.rstrip("\n").split("\t") for line in f]
    for name, (_, limit) in folders.items():
        if name not in args.systems or name in results["triples"]:
            continue
        mark = INSTRUCTIONS["bge"] if name == "bge-small" else ""
        texts = list(documents.values()), [mark + queries[k] for k in documents]
        found, asked = (embed(teacher(name), cut(x, limit)) for x in texts)
        results["code"][name] = ranking(asked, found, torch.arange(len(documents)))
        a, b, c = (embed(teacher(name), cut([t[i] for t in triples], limit)) for i in (1, 2, 3))
        told = ((a * b).sum(1) > (a * c).sum(1)).tolist()
        results["triples"][name] = {kind: sum(x for x, t in zip(told, triples) if t[0] == kind) for kind in {t[0]: 0 for t in triples}}
        keep()
        print(name, results["code"][name], results["triples"][name], flush=True)


if __name__ == "__main__":
    main()
