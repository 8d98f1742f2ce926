"""Development scores of a trained model in PyTorch (the real evaluation runs through core, see host/eval).

    python evaluate.py --model DIR --tokenizer tokenizer.json --sts sts-dev.tsv [--retrieval DIR] [--int8] [--device cuda]

Retrieval sets are NAME.json.gz of [documents {id: text}, queries {id: text}, relevance {query: {document: grade}}].
Spearman correlation of cosines with human similarity: each set, each year over all its pairs, both means.
"""

import argparse
import gzip
import json
import os

import torch
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
    """nDCG@10 in percent: documents of SETS cut at 256 pieces; of LONG, the best chunk and the whole."""

    def __init__(self, folder, tokenizer, device):
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
            self.sets[name] = ids(list(documents.values())), cut(ids([queries[q] for q in found])), gains.to(device)
        whole, queries, gains = self.sets.pop(LONG)
        pieces = [(i, [x[0], *x[1:-1][a : a + CHUNK], x[-1]]) for i, x in enumerate(whole) for a in range(0, max(1, len(x) - 2), CHUNK)]
        self.owner = torch.tensor([i for i, _ in pieces], device=device)
        self.long = [x if len(x) <= 32768 else x[:32767] + x[-1:] for x in whole], [x for _, x in pieces], queries, gains
        self.sets = {name: (cut(d), q, g) for name, (d, q, g) in self.sets.items()}

    @torch.no_grad()
    def embed(self, encode, lists, budget=65536):
        """Vectors of id lists, long ones first, at most `budget` places a batch."""
        order = sorted(range(len(lists)), key=lambda i: -len(lists[i]))
        out, at = [None] * len(lists), 0
        while at < len(order):
            width = (len(lists[order[at]]) + 7) // 8 * 8
            pick = order[at : at + max(1, budget // width)]
            ids = torch.zeros(len(pick), width, dtype=torch.long)
            for row, i in zip(ids, pick):
                row[: len(lists[i])] = torch.tensor(lists[i])
            ids = ids.to(self.device)
            for i, v in zip(pick, encode(ids, (ids != 0).float()).float()):
                out[i] = v
            at += len(pick)
        return torch.stack(out)

    def ndcg(self, scores, gains):
        discount = 1 / torch.log2(torch.arange(10, device=self.device) + 2.0)
        got = (gains.gather(1, scores.topk(10, 1).indices) * discount).sum(1)
        best = (gains.topk(10, 1).values * discount).sum(1)
        return 100 * (got / best).mean().item()

    @torch.no_grad()
    def scores(self, encode):
        """encode(ids, mask) -> unit vectors. Returns {set: nDCG@10} and the mean of SETS as `retrieval`."""
        vectors = lambda lists: self.embed(encode, lists)
        out = {name: self.ndcg(vectors(q) @ vectors(d).T, gains) for name, (d, q, gains) in self.sets.items()}
        out["retrieval"] = sum(out.values()) / len(out)
        whole, pieces, queries, gains = self.long
        q = vectors(queries)
        best = torch.full(gains.shape, -2.0, device=self.device)
        best.scatter_reduce_(1, self.owner.expand(len(q), -1), q @ vectors(pieces).T, "amax")
        out["long, best chunk"], out["long, whole"] = self.ndcg(best, gains), self.ndcg(q @ vectors(whole).T, gains)
        return {k: round(v, 2) for k, v in out.items()}


def ranks(x):
    """Ranks with ties given their mean."""
    _, inverse, count = torch.unique(x, return_inverse=True, return_counts=True)
    last = count.cumsum(0).double()
    return (last - (count.double() - 1) / 2)[inverse]


def spearman(a, b):
    return torch.corrcoef(torch.stack([ranks(a), ranks(b)]))[0, 1].item()


def main():
    from safetensors.torch import load_file

    from model import Config, M2Bert

    parser = argparse.ArgumentParser()
    parser.add_argument("--model", required=True)
    parser.add_argument("--tokenizer", required=True)
    parser.add_argument("--sts", required=True)
    parser.add_argument("--weights", default="model.safetensors")
    parser.add_argument("--retrieval", help="folder of retrieval sets")
    parser.add_argument("--int8", action="store_true", help="round activations as the int8 kernels do")
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    model = M2Bert(Config.read(os.path.join(args.model, "config.json")))
    model.load(load_file(os.path.join(args.model, args.weights))).eval().to(args.device)
    pairs = Pairs(args.sts, args.tokenizer)
    pairs.ids = pairs.ids.to(args.device)
    encode = lambda ids, mask: model(ids, mask, quantise=1.0 if args.int8 else 0.0)
    scores = pairs.scores(encode, batch=256)
    if args.retrieval:
        scores |= Retrieval(args.retrieval, args.tokenizer, args.device).scores(encode)
    for name, value in scores.items():
        print(f"{name:16} {value:.2f}")


if __name__ == "__main__":
    main()
