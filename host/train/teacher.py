"""The teachers: all-MiniLM-L6-v2 and all-mpnet-base-v2, on bert-base-uncased ids.

Both are plain BERT encoders with mean pooling and unit vectors; MPNet adds one learned bias by relative
distance to the attention scores and numbers its vocabulary four higher. A `Teacher` gives the vector of one
of them; `Teachers` joins several into one vector, each centred on its corpus mean, weighted and scaled so
that the dot product of two joined vectors is the weighted mean of the teachers' cosines.

    python teacher.py --minilm DIR --mpnet DIR --out DIR     packs both as float16 and int8 parts to carry
"""

import argparse
import json
import math
import os

import torch
import torch.nn.functional as F

CLS, SEP = 101, 102


def load(path):
    from safetensors.torch import load_file

    return load_file(path)


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

    def __init__(self, weights, device, dtype):
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
        if self.mpnet:
            hide = (hide + self.scores_bias(length)).expand(b, self.heads, length, length).contiguous()
        for i in range(self.layers):
            p = f"encoder.layer.{i}."
            q, k, v = self.linear(x, p + "qkv").view(b, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
            a = F.scaled_dot_product_attention(q, k, v, attn_mask=hide).transpose(1, 2).reshape(b, length, self.width)
            a = self.linear(a, p + ("attention.attn.o" if self.mpnet else "attention.output.dense"))
            x = self.norm(a + x, p + ("attention.LayerNorm" if self.mpnet else "attention.output.LayerNorm"))
            f = self.linear(F.gelu(self.linear(x, p + "intermediate.dense")), p + "output.dense")
            x = self.norm(f + x, p + "output.LayerNorm")
        m = mask.to(x.dtype)[..., None]
        mean = (x * m).sum(1).float() / mask.sum(1, keepdim=True).clamp(min=1)
        return F.normalize(mean, dim=-1)


class Teachers:
    """Several teachers as one: the weighted unit vectors side by side, so dot products are mean cosines."""

    def __init__(self, teachers, shares):
        self.teachers = teachers
        self.shares = [math.sqrt(s / sum(shares)) for s in shares]
        self.width = sum(t.width for t in teachers)

    def vectors(self, ids, mask):
        return torch.cat([t.vectors(ids, mask) * s for t, s in zip(self.teachers, self.shares)], -1)


def pack(weights, path_prefix, limit):
    """Writes float16 for small tensors and int8 rows with scales for the large ones, in parts of `limit` bytes."""
    from safetensors.torch import save_file

    parts, part, size = [], {}, 0
    for name, w in weights.items():
        if not w.is_floating_point() or "pooler" in name:
            continue
        if w.dim() == 2 and w.numel() > 100_000:
            scale = w.abs().amax(1, keepdim=True).clamp(min=1e-12) / 127
            entry = {name: torch.round(w / scale).to(torch.int8), name + "_scale": scale}
        else:
            entry = {name: w.half()}
        bytes_ = sum(t.numel() * t.element_size() for t in entry.values())
        if part and size + bytes_ > limit:
            parts.append(part)
            part, size = {}, 0
        part.update(entry)
        size += bytes_
    parts.append(part)
    for i, p in enumerate(parts):
        save_file(p, f"{path_prefix}.{i}.safetensors")


def unpack(paths):
    """The float32 weights of packed parts."""
    packed = {}
    for path in paths:
        packed.update(load(path))
    out = {}
    for name, w in packed.items():
        if name.endswith("_scale"):
            continue
        out[name] = w.float() * packed[name + "_scale"] if name + "_scale" in packed else w.float()
    return out


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--minilm", required=True)
    parser.add_argument("--mpnet", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--part-bytes", type=int, default=50_000_000)
    args = parser.parse_args()
    os.makedirs(args.out, exist_ok=True)
    for name, folder in (("minilm", args.minilm), ("mpnet", args.mpnet)):
        pack(load(os.path.join(folder, "model.safetensors")), os.path.join(args.out, name), args.part_bytes)
    print(json.dumps({f: os.path.getsize(os.path.join(args.out, f)) for f in sorted(os.listdir(args.out))}))


if __name__ == "__main__":
    main()
