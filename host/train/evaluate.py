"""Development scores of a trained model in PyTorch (the real evaluation runs through core, see host/eval).

    python evaluate.py --model DIR --tokenizer tokenizer.json --sts sts-dev.tsv [--retrieval DIR] [--int8] [--device cuda]
    python evaluate.py --teachers DIR [--names minilm bge] --tokenizer tokenizer.json --sts sts-dev.tsv --retrieval DIR

The second scores packed teachers (teacher.py). Retrieval sets are NAME.json.gz of [documents {id: text}, queries {id: text}, relevance {query: {document: grade}}].
Spearman correlation of cosines with human similarity: each set, each year over all its pairs, both means.
"""

import argparse
import gzip
import json
import os

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer


class Pairs:
    """The pairs of an STS file as padded id batches."""

    def __init__(self, path, tokenizer):
        with open(path, encoding="utf-8") as f:
            rows = [line.rstrip("\n").split("\t") for line in f]
        tokenizer = Tokenizer.from_file(tokenizer)
        tokenizer.no_padding()
        tokenizer.no_truncation()
        self.sets = [r[0] for r in rows]
        self.human = torch.tensor([float(r[1]) for r in rows])
        ids = [e.ids for e in tokenizer.encode_batch([r[2] for r in rows] + [r[3] for r in rows])]
        width = max(map(len, ids))
        self.ids = torch.zeros(len(ids), width, dtype=torch.long)
        for row, x in zip(self.ids, ids):
            row[: len(x)] = torch.tensor(x)

    @torch.no_grad()
    def scores(self, encode, batch=1024):
        """encode(ids, mask) -> unit vectors. Returns {set or year or mean: 100 * Spearman}."""
        vectors = torch.cat([encode(x, (x != 0).float()).float().cpu() for x in self.ids.split(batch)])
        a, b = vectors.chunk(2)
        cosine = (a * b).sum(1)
        out = {}
        for name in sorted(set(self.sets)) + ["2012", "2013"]:
            at = torch.tensor([s.startswith(name) for s in self.sets])
            out[name] = 100 * spearman(cosine[at], self.human[at])
        out["mean of sets"] = sum(v for k, v in out.items() if "." in k) / len(set(self.sets))
        return {k: round(v, 2) for k, v in out.items()}


SETS = ("cisi", "cacm", "npl", "dbpedia")
LONG = "leval-question"
CHUNK = 254  # pieces of a passage of a long document


class Retrieval:
    """nDCG@10 in percent: documents of SETS cut at 256 pieces; of LONG, the best chunk and the whole.

    Every score is taken twice: with queries as they stand and after `mark`. Texts are kept as batches of id tensors,
    like lengths together.
    """

    def __init__(self, folder, tokenizer, device, mark):
        self.device = device
        tokenizer = Tokenizer.from_file(tokenizer)
        tokenizer.no_padding()
        tokenizer.no_truncation()
        ids = lambda texts: [e.ids for e in tokenizer.encode_batch(texts)]
        cut = lambda lists: [x if len(x) <= CHUNK + 2 else x[: CHUNK + 1] + x[-1:] for x in lists]
        self.sets = {}
        for name in (*SETS, LONG):
            with gzip.open(os.path.join(folder, name + ".json.gz")) as f:
                documents, queries, relevance = json.load(f)
            at = {key: i for i, key in enumerate(documents)}
            found = {q: {at[d]: g for d, g in relevance.get(q, {}).items() if d in at} for q in queries}
            found = {q: grades for q, grades in found.items() if grades}
            gains = torch.zeros(len(found), len(at))
            for row, grades in zip(gains, found.values()):
                row[list(grades)] = torch.tensor([float(g) for g in grades.values()])
            asked = [[prefix + queries[q] for q in found] for prefix in ("", mark)]
            self.sets[name] = ids(list(documents.values())), [self.batches(cut(ids(x))) for x in asked], gains.to(device)
        whole, queries, gains = self.sets.pop(LONG)
        whole = [x if len(x) <= 32768 else x[:32767] + x[-1:] for x in whole]
        pieces = [(i, [x[0], *x[1:-1][a : a + CHUNK], x[-1]]) for i, x in enumerate(whole) for a in range(0, max(1, len(x) - 2), CHUNK)]
        self.owner = torch.tensor([i for i, _ in pieces], device=device)
        self.long = self.batches(whole), self.batches([x for _, x in pieces]), queries, gains
        self.sets = {name: (self.batches(cut(d)), q, g) for name, (d, q, g) in self.sets.items()}

    def batches(self, lists, budget=65536):
        """[(numbers of the lists, padded ids)], long ones first, at most `budget` places a batch."""
        order = sorted(range(len(lists)), key=lambda i: -len(lists[i]))
        out, at = [], 0
        while at < len(order):
            width = (len(lists[order[at]]) + 7) // 8 * 8
            pick = order[at : at + max(1, budget // width)]
            ids = torch.zeros(len(pick), width, dtype=torch.long)
            for row, i in zip(ids, pick):
                row[: len(lists[i])] = torch.tensor(lists[i])
            out.append((torch.tensor(pick, device=self.device), ids.to(self.device)))
            at += len(pick)
        return out

    @torch.no_grad()
    def embed(self, encode, batches):
        vectors = torch.cat([encode(ids, (ids != 0).float()).float() for _, ids in batches])
        return vectors[torch.argsort(torch.cat([pick for pick, _ in batches]))]

    def ndcg(self, scores, gains):
        discount = 1 / torch.log2(torch.arange(10, device=self.device) + 2.0)
        got = (gains.gather(1, scores.topk(10, 1).indices) * discount).sum(1)
        best = (gains.topk(10, 1).values * discount).sum(1)
        return 100 * (got / best).mean().item()

    @torch.no_grad()
    def spans(self, hidden, batches):
        """Vectors of the chunks of texts, each from one pass over its whole text."""
        out = {}
        for pick, ids in batches:
            states = hidden(ids, (ids != 0).float())
            for text, length, h in zip(pick.tolist(), (ids != 0).sum(1).tolist(), states):
                parts = h[1 : max(2, length - 1)].float().split(CHUNK)
                out[text] = F.normalize(torch.stack([p.sum(0) for p in parts]), dim=-1)
        return torch.cat([out[i] for i in sorted(out)])

    @torch.no_grad()
    def scores(self, encode, hidden=None, cut=0):
        """encode(ids, mask) -> unit vectors. Returns {set: nDCG@10}, the mean of SETS as `retrieval`, the same of marked
        queries and, if `cut`, of the first `cut` numbers of all vectors. The long documents are scored if there is
        `hidden`(ids, mask) -> the last hidden states, or True for an encoder without spans."""
        vectors = lambda batches: self.embed(encode, batches)
        out = {}
        for name, (batches, queries, gains) in self.sets.items():
            documents = vectors(batches)
            for way, asked in zip(("", ", marked"), map(vectors, queries)):
                out[name + way] = self.ndcg(asked @ documents.T, gains)
            if cut:
                short = [F.normalize(x[:, :cut], dim=-1) for x in (asked, documents)]
                out[f"{name}, marked, {cut}"] = self.ndcg(short[0] @ short[1].T, gains)
        for way in ("", ", marked", *([f", marked, {cut}"] if cut else [])):
            out["retrieval" + way] = sum(out[name + way] for name in SETS) / len(SETS)
        if cut:
            out = {k: v for k, v in out.items() if str(cut) not in k or k.startswith("retrieval")}
        if hidden:
            batches, pieces, queries, gains = self.long
            kinds = {"best chunk": vectors(pieces), "whole": vectors(batches)}
            sums = torch.zeros_like(kinds["whole"]).index_add_(0, self.owner, kinds["best chunk"])
            kinds["mean of chunks"] = F.normalize(sums, dim=-1)
            if hidden is not True:
                kinds["best span"] = self.spans(hidden, batches)
            for way, asked in zip(("", ", marked"), map(vectors, queries)):
                for kind, documents in kinds.items():
                    found = asked @ documents.T
                    if "best" in kind:
                        best = torch.full(gains.shape, -2.0, device=self.device)
                        found = best.scatter_reduce_(1, self.owner.expand(len(found), -1), found, "amax")
                    out[f"long, {kind}{way}"] = self.ndcg(found, gains)
        return {k: round(v, 2) for k, v in out.items()}


def ranks(x):
    """Ranks with ties given their mean."""
    _, inverse, count = torch.unique(x, return_inverse=True, return_counts=True)
    last = count.cumsum(0).double()
    return (last - (count.double() - 1) / 2)[inverse]


def spearman(a, b):
    return torch.corrcoef(torch.stack([ranks(a), ranks(b)]))[0, 1].item()


def score_teachers(args, pairs):
    """Each teacher alone, bge with its vectors as they stand."""
    from pool import INSTRUCTIONS
    from teacher import load_teacher

    sets = {}
    dtype = torch.float16 if args.device == "cuda" else torch.float32
    for name in args.names:
        teacher = load_teacher(args.teachers, name, args.device, dtype)
        encode = lambda ids, mask: teacher.vectors(ids[:, :512], mask[:, :512])
        mark = INSTRUCTIONS.get(name, "")
        if mark not in sets:
            sets[mark] = Retrieval(args.retrieval, args.tokenizer, args.device, mark)
        print(name, pairs.scores(encode) | sets[mark].scores(encode, True), flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--model")
    parser.add_argument("--teachers")
    parser.add_argument("--names", nargs="*", default=["minilm", "mpnet", "bge"])
    parser.add_argument("--tokenizer", required=True)
    parser.add_argument("--sts", required=True)
    parser.add_argument("--weights", default="model.safetensors")
    parser.add_argument("--retrieval", help="folder of retrieval sets")
    parser.add_argument("--int8", action="store_true", help="round activations as the int8 kernels do")
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    pairs = Pairs(args.sts, args.tokenizer)
    pairs.ids = pairs.ids.to(args.device)
    if args.teachers:
        return score_teachers(args, pairs)
    from safetensors.torch import load_file

    from model import Config, M2Bert

    model = M2Bert(Config.read(os.path.join(args.model, "config.json")))
    model.load(load_file(os.path.join(args.model, args.weights))).eval().to(args.device)
    rounding = 1.0 if args.int8 else 0.0
    encode = lambda ids, mask: model(ids, mask, rounding)
    hidden = lambda ids, mask: model.hidden(ids, mask, rounding)
    scores = pairs.scores(encode, batch=256)
    cut = min(model.c.matryoshka_dimensions, default=0)
    if cut:
        short = lambda ids, mask: F.normalize(encode(ids, mask)[:, :cut], dim=-1)
        scores[f"mean of sets, {cut}"] = pairs.scores(short, batch=256)["mean of sets"]
    if args.retrieval:
        mark = model.c.prompts.get("query", "")
        scores |= Retrieval(args.retrieval, args.tokenizer, args.device, mark).scores(encode, hidden, cut)
    for name, value in scores.items():
        print(f"{name:28} {value:.2f}")


if __name__ == "__main__":
    main()
