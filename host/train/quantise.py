"""Stage 4: write the trained student as a model folder.

    python quantise.py --weights final.pt [--word word.pt] --tokenizer F --out DIR [--dtype int8|f32] [--vectors F]

--weights is the trainer's final.pt or a plain state dict; --word a word table that was stored apart from it.
Sizes are read off the tensors. Writes config.json, tokenizer.json and model.safetensors. int8 is symmetric, one
f32 scale for each row of the last axis in NAME_scale: the same rounding that the trainer's last steps ran with.

--vectors writes what this code makes of a list of texts, for the tests of the engine: `trained` from the trained
weights, `dequantised` from the rounded weights with float32 activations, `int8` with rounded activations, too.
"""

import argparse
import json
import os
import re

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer

from model import NESTED, PROMPTS, Config, M2Bert

MATRICES = re.compile(
    r"(word_embeddings|in_linear|out_linear|gated_layers|mlp\.wo|implicit_filter(_rev)?\.6)\.weight$"
)

# Texts of the test vectors: (text, repetitions, length at which it is cut). Lengths stand around the filters'
# window (512) and the change from one transform to pieces (2,048).
TEXTS = [
    ("", 1, 0),
    ("a", 1, 0),
    ("Hello", 1, 0),
    ("Hello, world!", 1, 0),
    ("A man is playing a guitar.", 1, 0),
    ("Someone plays an instrument.", 1, 0),
    ("The stock market fell sharply on Monday.", 1, 0),
    ("naïve café, Zürich; 東京 and Москва", 1, 0),
    ("antidisestablishmentarianism", 1, 0),
    ("How do I reset my password?", 1, 0),
    ("Open the settings, choose Account, then press Reset password.", 1, 0),
    ("x" * 300, 1, 0),  # one unknown word
    ("Boil the rice until it is soft, then stir in the milk and a little sugar.", 1, 0),
    ("The cell membrane separates the inside of the cell from its surroundings.", 4, 0),
    ("the same words again and again", 100, 127),
    ("Rain fell over the hills while the train crossed the long bridge.", 100, 256),
    ("Rain fell over the hills while the train crossed the long bridge.", 100, 511),
    ("Rain fell over the hills while the train crossed the long bridge.", 100, 512),
    ("Rain fell over the hills while the train crossed the long bridge.", 100, 513),
    ("A committee met to discuss the budget, and nobody agreed about the roads.", 200, 1025),
    ("A committee met to discuss the budget, and nobody agreed about the roads.", 200, 2047),
    ("A committee met to discuss the budget, and nobody agreed about the roads.", 200, 2048),
    ("A committee met to discuss the budget, and nobody agreed about the roads.", 200, 2049),
    ("Water turns to steam at one hundred degrees; ice melts at zero.", 700, 4099),
    ("Water turns to steam at one hundred degrees; ice melts at zero.", 700, 8192),
]


def config_of(state, word):
    """The sizes of a state dict."""
    layers, _, window, features = state["filters.z"].shape
    blocks, _, inner = state["layers.0.wo"].shape
    return Config(
        hidden_size=word.shape[1], vocab_size=word.shape[0], num_hidden_layers=layers,
        intermediate_size=blocks * inner, monarch_mlp_nblocks=blocks,
        hyena_filter_order=state["filters.freq"].shape[-1], hyena_emb_dim=features, long_conv_l_max=window,
        type_vocab_size=state["token_type"].shape[0], matryoshka_dimensions=NESTED, prompts=PROMPTS,
    )


def quantised(name, w):
    """Tensors that store w (rows on the last axis) as int8."""
    scale = w.abs().amax(-1).clamp(min=1e-12) / 127
    return {name: torch.round(w / scale[..., None]).clamp(-127, 127).to(torch.int8), name + "_scale": scale}


def write(folder, model, tokenizer, dtype):
    os.makedirs(folder, exist_ok=True)
    out = {}
    for name, w in model.tensors().items():
        w = w.detach().float().clone()
        if not torch.isfinite(w).all():
            raise ValueError(f"tensor {name} is not finite")
        out.update(quantised("bert." + name, w) if dtype == "int8" and MATRICES.search(name) else {"bert." + name: w})
    save_file(out, os.path.join(folder, "model.safetensors"), metadata={"format": "pt"})
    with open(os.path.join(folder, "config.json"), "w", encoding="utf-8") as f:
        json.dump(model.c.published(), f, indent=1)
        f.write("\n")
    with open(tokenizer, encoding="utf-8") as f:
        value = json.load(f)
    with open(os.path.join(folder, "tokenizer.json"), "w", encoding="utf-8") as f:
        json.dump(value, f, separators=(",", ":"), ensure_ascii=False)
    return out


@torch.no_grad()
def vectors(trained, rounded, tokenizer):
    """The three kinds of vectors of TEXTS, (texts, d) each."""
    tokenizer = Tokenizer.from_file(tokenizer)
    tokenizer.no_padding()
    kinds = {"trained": (trained, 0.0), "dequantised": (rounded, 0.0), "int8": (rounded, 1.0)}
    out = {k: [] for k in kinds}
    lengths = []
    for text, times, limit in TEXTS:
        tokenizer.no_truncation()
        if limit:
            tokenizer.enable_truncation(limit)
        ids = torch.tensor([tokenizer.encode(" ".join([text] * times)).ids])
        lengths.append(ids.shape[1])
        for kind, (model, quantise) in kinds.items():
            out[kind].append(model(ids, quantise=quantise)[0])
    return {k: torch.stack(v) for k, v in out.items()}, lengths


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--weights", required=True)
    parser.add_argument("--word")
    parser.add_argument("--tokenizer", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--dtype", choices=("int8", "f32"), default="int8")
    parser.add_argument("--vectors", help="safetensors file with test vectors to write")
    args = parser.parse_args()

    state = torch.load(args.weights, map_location="cpu", weights_only=True)
    state = state.get("model", state)
    if args.word:
        word = torch.load(args.word, map_location="cpu", weights_only=True)
        state["word"] = word["word"].float() * word["word_scale"][:, None]
    state = {k: v.float() for k, v in state.items()}
    model = M2Bert(config_of(state, state["word"]))
    model.load_state_dict(state)
    model.eval()
    tensors = write(args.out, model, args.tokenizer, args.dtype)
    for name in sorted(os.listdir(args.out)):
        print(f"{os.path.getsize(os.path.join(args.out, name)):>10}  {name}")
    if args.vectors:
        if args.dtype != "int8":
            parser.error("--vectors goes with --dtype int8")
        rounded = M2Bert(model.c).load(tensors).eval()
        made, lengths = vectors(model, rounded, args.tokenizer)
        texts = [{"text": t, "times": n, "tokens": l} for (t, n, _), l in zip(TEXTS, lengths)]
        save_file(made, args.vectors)
        with open(os.path.splitext(args.vectors)[0] + ".json", "w", encoding="utf-8") as f:
            json.dump(texts, f, indent=0, ensure_ascii=False)
            f.write("\n")
        for kind in ("dequantised", "int8"):
            print(f"least cosine of trained and {kind}: {(made['trained'] * made[kind]).sum(1).min():.5f}")


if __name__ == "__main__":
    main()
