"""The teachers: all-MiniLM-L6-v2, all-mpnet-base-v2 and bge-small-en-v1.5, on bert-base-uncased ids.

All are plain BERT encoders with unit vectors: the first two are means of the hidden states, bge's is the hidden
state of [CLS]. MPNet adds one learned bias by relative distance to the attention scores and numbers its
vocabulary four higher. A `Teacher` gives the vector of one of them; `load_teachers` reads what this program packs:

    python teacher.py --minilm DIR --mpnet DIR --bge FILE.onnx --out DIR

int8 rows with scales for the matrices, float16 for the rest, as NAME.npz.xz (20, 95 and 31 MB): to be carried to a GPU.
"""

import argparse
import io
import json
import lzma
import math
import os
import re

import numpy as np
import torch
import torch.nn.functional as F

CLS, SEP = 101, 102


def distance_bucket(length, buckets=32, longest=128):
    """MPNet's (T5's) bucket of every relative distance, (L, L)."""
    at = torch.arange(length)
    n = at[:, None] - at[None, :]
    half = buckets // 2
    bucket = (n < 0).long() * half
    n = n.abs()
    exact = half // 2
    large = exact + (torch.log(n.float().clamp(min=1) / exact) / math.log(longest / exact) * (half - exact)).long()
    return bucket + torch.where(n < exact, n, large.clamp(max=half - 1))


class Teacher:
    """One frozen encoder. vectors(ids, mask): (B, L) ids with [CLS] and [SEP], 0/1 mask -> (B, width) unit rows."""

    def __init__(self, weights, device, dtype, first=False):
        """`first`: the text's vector is that of its first token, not the mean."""
        self.first = first
        self.mpnet = "encoder.relative_attention_bias.weight" in weights
        self.w = {k: v.to(device, dtype) for k, v in weights.items() if v.is_floating_point() and "pooler" not in k}
        self.layers = 1 + max(int(k.split(".")[2]) for k in weights if k.startswith("encoder.layer."))
        self.width = weights["embeddings.LayerNorm.weight"].shape[0]
        self.heads = 12
        self.eps = 1e-5 if self.mpnet else 1e-12
        self.device, self.dtype = device, dtype
        self.bias = {}
        for i in range(self.layers):
            names = [f"attention.attn.{x}" for x in "qkv"] if self.mpnet else [f"attention.self.{x}" for x in ("query", "key", "value")]
            for kind in ("weight", "bias"):
                parts = [self.w.pop(f"encoder.layer.{i}.{n}.{kind}") for n in names]
                self.w[f"encoder.layer.{i}.qkv.{kind}"] = torch.cat(parts)

    def norm(self, x, name):
        return F.layer_norm(x, (self.width,), self.w[name + ".weight"], self.w[name + ".bias"], self.eps)

    def linear(self, x, name):
        return F.linear(x, self.w[name + ".weight"], self.w[name + ".bias"])

    def scores_bias(self, length):
        if length not in self.bias:
            table = self.w["encoder.relative_attention_bias.weight"]
            self.bias[length] = table[distance_bucket(length).to(self.device)].permute(2, 0, 1)[None]
        return self.bias[length]

    @torch.no_grad()
    def vectors(self, ids, mask):
        b, length = ids.shape
        if self.mpnet:
            ids = torch.where(ids == CLS, 0, torch.where(ids == SEP, 2, ids + 4))
            x = self.w["embeddings.word_embeddings.weight"][ids] + self.w["embeddings.position_embeddings.weight"][2 : length + 2]
        else:
            x = self.w["embeddings.word_embeddings.weight"][ids] + self.w["embeddings.position_embeddings.weight"][:length]
            x = x + self.w["embeddings.token_type_embeddings.weight"][0]
        x = self.norm(x, "embeddings.LayerNorm")
        hide = torch.where(mask[:, None, None, :] > 0, 0.0, -1e4).to(self.dtype)
        hide = hide + self.scores_bias(length) if self.mpnet else hide
        hide = hide.expand(b, self.heads, length, length).contiguous() if self.mpnet else hide.expand(b, self.heads, length, length)
        for i in range(self.layers):
            p = f"encoder.layer.{i}."
            q, k, v = self.linear(x, p + "qkv").view(b, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
            a = F.scaled_dot_product_attention(q, k, v, attn_mask=hide).transpose(1, 2).reshape(b, length, self.width)
            a = self.linear(a, p + ("attention.attn.o" if self.mpnet else "attention.output.dense"))
            x = self.norm(a + x, p + ("attention.LayerNorm" if self.mpnet else "attention.output.LayerNorm"))
            f = self.linear(F.gelu(self.linear(x, p + "intermediate.dense")), p + "output.dense")
            x = self.norm(f + x, p + "output.LayerNorm")
        if self.first:
            return F.normalize(x[:, 0].float(), dim=-1)
        m = mask.to(x.dtype)[..., None]
        mean = (x * m).sum(1).float() / mask.sum(1, keepdim=True).clamp(min=1)
        return F.normalize(mean, dim=-1)


def plain(folder):
    """The float32 weights of a sentence-transformers folder."""
    from safetensors.torch import load_file

    return {k: v for k, v in load_file(os.path.join(folder, "model.safetensors")).items()}


def from_onnx(path):
    """The weights of a BERT exported to ONNX, whose linear layers lost their names and were transposed."""
    import onnx
    from onnx import numpy_helper

    graph = onnx.load(path).graph
    arrays = {i.name: numpy_helper.to_array(i) for i in graph.initializer}
    weights = {k: v for k, v in arrays.items() if re.search(r"(weight|bias)$", k)}
    for node in graph.node:
        if node.op_type == "MatMul" and node.input[1] in arrays:
            name = node.name.strip("/").removesuffix("/MatMul").replace("/", ".") + ".weight"
            weights[name] = arrays[node.input[1]].T
    return {k: torch.from_numpy(np.array(v)) for k, v in weights.items()}


SCALE = "|scale"


def pack(weights, path):
    """Writes int8 rows with scales for the matrices and float16 for the rest."""
    out = {}
    for name, w in weights.items():
        if not w.is_floating_point() or "pooler" in name:
            continue
        w = w.float().numpy()
        if w.ndim == 2 and w.size > 100_000:
            scale = np.maximum(np.abs(w).max(1, keepdims=True), 1e-12) / 127
            out[name], out[name + SCALE] = np.round(w / scale).astype(np.int8), scale.astype(np.float32)
        else:
            out[name] = w.astype(np.float16)
    buffer = io.BytesIO()
    np.savez(buffer, **out)
    with open(path, "wb") as f:
        f.write(lzma.compress(buffer.getvalue(), preset=2))


def unpack(path):
    """The float32 weights of a packed file."""
    with lzma.open(path) as f:
        z = np.load(io.BytesIO(f.read()))
    names = [k for k in z.files if not k.endswith(SCALE)]
    return {k: torch.from_numpy(z[k].astype(np.float32) * (z[k + SCALE] if k + SCALE in z.files else 1)) for k in names}


NAMES = ("minilm", "mpnet", "bge")


def load_teacher(folder, name, device, dtype):
    return Teacher(unpack(os.path.join(folder, name + ".npz.xz")), device, dtype, first=name == "bge")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--minilm")
    parser.add_argument("--mpnet")
    parser.add_argument("--bge", help="ONNX file")
    parser.add_argument("--out", required=True)
    args = parser.parse_args()
    os.makedirs(args.out, exist_ok=True)
    for name in NAMES:
        if source := getattr(args, name):
            pack(from_onnx(source) if name == "bge" else plain(source), os.path.join(args.out, name + ".npz.xz"))
    print(json.dumps({f: os.path.getsize(os.path.join(args.out, f)) for f in sorted(os.listdir(args.out))}))


if __name__ == "__main__":
    main()
