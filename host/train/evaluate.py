"""Development scores of a trained model in PyTorch (the real evaluation runs through core, see host/eval).

    python evaluate.py --model DIR --tokenizer tokenizer.json --sts sts-dev.tsv [--int8]

Spearman correlation of cosines with human similarity: each set, each year over all its pairs, both means.
"""

import argparse
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
    parser.add_argument("--int8", action="store_true", help="round activations as the int8 kernels do")
    args = parser.parse_args()
    model = M2Bert(Config.read(os.path.join(args.model, "config.json")))
    model.load(load_file(os.path.join(args.model, args.weights))).eval()
    pairs = Pairs(args.sts, args.tokenizer)
    scores = pairs.scores(lambda ids, mask: model(ids, mask, quantise=1.0 if args.int8 else 0.0), batch=256)
    for name, value in scores.items():
        print(f"{name:16} {value:.2f}")


if __name__ == "__main__":
    main()
