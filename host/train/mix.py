"""A weighted mean of models of the same sizes, as a model folder.

    python mix.py --models DIR=0.4 DIR=0.6 --tokenizer F --out DIR [--dtype int8|f32]

What one training run ends with and what it began with lie in one valley: between them the loss is no higher, and a
mean keeps more of both. A model of fewer layers than another is grown first (model.py).
"""

import argparse
import os

import torch
from safetensors.torch import load_file

from model import Config, M2Bert
from quantise import write


@torch.no_grad()
def mixed(models, weights):
    """The weighted mean of models, by the sum of the weights; layers are added where others have more."""
    layers = max(m.c.num_hidden_layers for m in models)
    models = [m.grown(layers) for m in models]
    states = [m.state_dict() for m in models]
    shapes = [{k: v.shape for k, v in s.items()} for s in states]
    if any(s != shapes[0] for s in shapes):
        raise ValueError("models of different sizes cannot be mixed")
    out = M2Bert(models[0].c)
    out.load_state_dict({k: sum(s[k].float() * w for s, w in zip(states, weights)) / sum(weights) for k in states[0]})
    return out


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--models", nargs="+", required=True, help="FOLDER=WEIGHT")
    parser.add_argument("--tokenizer", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--dtype", choices=("int8", "f32"), default="int8")
    args = parser.parse_args()
    models, weights = [], []
    for part in args.models:
        folder, _, weight = part.rpartition("=")
        model = M2Bert(Config.read(os.path.join(folder, "config.json")))
        models.append(model.load(load_file(os.path.join(folder, "model.safetensors"))))
        weights.append(float(weight))
    write(args.out, mixed(models, weights).eval(), args.tokenizer, args.dtype)


if __name__ == "__main__":
    main()
