"""M2-BERT in PyTorch, for training: Monarch Mixer layers with windowed long convolutions, no attention.

Shapes: B texts, L positions, d hidden, I inner width, n blocks of the MLP, o width and e features of a filter
network, W = long_conv_l_max, the number of taps a filter has to each side (taps past it are zero).

A batch may hold texts of different lengths: `mask` (B, L) zeroes the inputs of the convolutions at the places
after a text's end, which gives exactly the hidden states of the text run alone, without padding.

Fake quantisation (`quantise` = 1.0) rounds weights per output row and activations per token to 8 bits in the
forward pass and lets gradients through, so that the trained model loses little when it is stored as int8.
"""

import json
import math
from dataclasses import asdict, dataclass, field, replace

import torch
import torch.nn as nn
import torch.nn.functional as F


NESTED = (64, 128)  # lengths at which the first numbers of a vector are useful alone
# What a text begins with, by its use.
PROMPTS = {"query": "query: ", "document": ""}


@dataclass
class Config:
    hidden_size: int = 224
    num_hidden_layers: int = 4
    intermediate_size: int = 896
    monarch_mlp_nblocks: int = 4
    hyena_filter_order: int = 32
    hyena_emb_dim: int = 5
    hyena_w: float = 10
    hyena_w_mod: float = 1
    long_conv_l_max: int = 512
    max_position_embeddings: int = 512
    max_seq_len: int = 32768
    vocab_size: int = 30528
    type_vocab_size: int = 2
    layer_norm_eps: float = 1e-12
    use_positional_encodings: bool = False
    pooling: str = "mean_hidden"
    matryoshka_dimensions: tuple = ()
    prompts: dict = field(default_factory=dict)

    @staticmethod
    def read(path):
        with open(path, encoding="utf-8") as f:
            raw = json.load(f)
        return Config(**{k: v for k, v in raw.items() if k in Config.__dataclass_fields__})

    def published(self):
        """The config.json of the finished model."""
        return {
            "architectures": ["M2BertModel"],
            "model_type": "m2_bert",
            **asdict(self),
            "max_position_embeddings": self.max_seq_len,
            "monarch_mixer_sequence_mixing": True,
            "bidirectional": True,
            "residual_long_conv": True,
            "hyena_training_additions": False,
            "use_glu_mlp": True,
            "use_monarch_mlp": True,
            "pad_token_id": 0,
            "padding": "none",
            "normalize": True,
            "tokenizer_name": "bert-base-uncased",
        }


def round_rows(x):
    """x with every last-axis row rounded to 127 steps of its largest magnitude."""
    scale = x.abs().amax(-1, keepdim=True).clamp(min=1e-12) / 127
    return torch.round(x / scale) * scale


def fake(x, quantise):
    """x, or its rounded form where quantise is 1; the gradient is that of x."""
    return x + quantise * (round_rows(x.detach().float()) - x.detach()).to(x.dtype)


class Filters(nn.Module):
    """All filters of a model: layers x {gated, residual} x {forward, reverse}, stacked on leading axes."""

    def __init__(self, c: Config):
        super().__init__()
        n, o, e, w, d = c.num_hidden_layers, c.hyena_filter_order, c.hyena_emb_dim, c.long_conv_l_max, c.hidden_size
        self.c = c
        par = lambda *shape: nn.Parameter(torch.zeros(*shape))
        self.z = par(n, 2, w, e)
        self.freq = nn.Parameter(torch.full((n, 2, o), float(c.hyena_w)))
        self.w0, self.b0 = par(n, 2, 2, o, e), par(n, 2, 2, o)
        self.w2, self.b2 = par(n, 2, 2, o, o), par(n, 2, 2, o)
        self.w4, self.b4 = par(n, 2, 2, o, o), par(n, 2, 2, o)
        self.w6 = par(n, 2, 2, d, o)
        self.register_buffer("t", torch.linspace(0, 1, w).expand(n, 2, w).clone())
        self.register_buffer("deltas", torch.zeros(n, 2, d))

    def forward(self, taps, quantise):
        """Taps (layers, 2, 2, d, taps): [:, 0] gated and [:, 1] residual; [..., 0] forward and 1 reverse."""
        freq = self.c.hyena_w_mod * self.freq[:, :, None, None, :]
        q = self.z[:, :, None, :taps].expand(-1, -1, 2, -1, -1)
        for w, b in ((self.w0, self.b0), (self.w2, self.b2), (self.w4, self.b4)):
            q = torch.sin(freq * (q @ w.transpose(-1, -2) + b[..., None, :]))
        k = fake(self.w6, quantise) @ q.transpose(-1, -2)
        decay = torch.exp(-self.t[:, :, None, :taps] * self.deltas.abs()[..., None])
        return k * decay[:, :, None]


def long_conv(u, forward, reverse, bias):
    """Bidirectional long convolution (specification section 6.2) of u (B, L, c) with taps (c, J) and D term (c)."""
    length, taps = u.shape[1], forward.shape[1]
    if length <= 512:  # one Toeplitz matrix a channel
        side = F.pad(reverse, (0, length - taps))[:, : length - 1].flip(1)
        lags = torch.cat([side, F.pad(forward, (0, length - taps))], 1)  # lag -(L-1) .. L-1
        lags = lags + F.pad(bias[:, None], (length - 1, length - 1))
        if torch.compiler.is_compiling():
            at = torch.arange(length, device=u.device)
            matrix = lags[:, at[:, None] - at[None, :] + length - 1]  # [c, t, s] = lag t - s
        else:  # the same, with a cheaper gradient outside the compiler
            matrix = lags.flip(1).unfold(1, length, 1).flip(1)
        return torch.bmm(matrix.to(u.dtype), u.permute(2, 1, 0)).permute(2, 1, 0)
    size = 1 << (length + taps - 1).bit_length()
    spectrum = torch.fft.rfft(forward, size)
    shift = torch.exp(2j * math.pi * torch.arange(size // 2 + 1, device=u.device) / size)
    spectrum = spectrum + torch.fft.rfft(reverse, size).conj() * shift
    x = u.float().transpose(1, 2)
    y = torch.fft.irfft(torch.fft.rfft(x, size) * spectrum, size)[..., :length] + x * bias[:, None]
    return y.transpose(1, 2).to(u.dtype)


class Layer(nn.Module):
    def __init__(self, c: Config):
        super().__init__()
        d, i, n = c.hidden_size, c.intermediate_size, c.monarch_mlp_nblocks
        self.c = c
        self.in_linear = nn.Linear(d, 3 * d)
        self.short_filter = nn.Conv1d(3 * d, 3 * d, 3, groups=3 * d)
        self.out_linear = nn.Linear(d, d)
        self.filter_bias = nn.Parameter(torch.zeros(2, d))  # D of filter_fn and filter_fn2
        self.gated_layers = nn.Parameter(torch.zeros(n, 2 * i // n, d // n))
        self.wo = nn.Parameter(torch.zeros(n, d // n, i // n))
        self.wo_bias = nn.Parameter(torch.zeros(d))
        self.layernorm = nn.LayerNorm(d, eps=c.layer_norm_eps)

    def linear(self, x, layer, quantise):
        return F.linear(fake(x, quantise), fake(layer.weight, quantise).to(x.dtype), layer.bias.to(x.dtype))

    def mlp(self, m, quantise):
        """Block-diagonal GLU: gates from the first half of the blocks, values from the second."""
        n, rows, i = self.c.monarch_mlp_nblocks, m.shape[0] * m.shape[1], self.c.intermediate_size
        x = fake(m, quantise).reshape(rows, n, -1).transpose(0, 1)
        g = torch.bmm(x, fake(self.gated_layers, quantise).to(x.dtype).transpose(1, 2))  # (n, rows, 2I/n)
        u = F.gelu(g[: n // 2]) * g[n // 2 :]  # (n/2, rows, 2I/n): unit r = block * 2I/n + column
        u = u.transpose(0, 1).reshape(rows, i)
        u = fake(u, quantise).view(rows, n, i // n).transpose(0, 1)
        f = torch.bmm(u, fake(self.wo, quantise).to(x.dtype).transpose(1, 2))  # (n, rows, d/n)
        return f.transpose(0, 1).reshape(m.shape) + self.wo_bias.to(x.dtype)

    def forward(self, h, taps, mask, quantise):
        d = h.shape[-1]
        p = F.pad(self.linear(h, self.in_linear, quantise), (0, 0, 2, 0))
        w = self.short_filter.weight[:, 0].to(p.dtype)
        s = p[:, :-2] * w[:, 0] + p[:, 1:-1] * w[:, 1] + p[:, 2:] * w[:, 2] + self.short_filter.bias.to(p.dtype)
        x1, x2, v = s.split(d, -1)
        u = torch.cat([v * x1, h], -1)
        if mask is not None:
            u = u * mask[..., None].to(u.dtype)
        forward, reverse = taps[:, 0].reshape(2 * d, -1), taps[:, 1].reshape(2 * d, -1)
        y1, y2 = long_conv(u, forward, reverse, self.filter_bias.reshape(-1)).split(d, -1)
        m = self.linear(y1 * x2 + y2, self.out_linear, quantise)
        return self.layernorm((m + self.mlp(m, quantise)).float()).to(h.dtype)


class M2Bert(nn.Module):
    def __init__(self, c: Config):
        super().__init__()
        d = c.hidden_size
        self.c = c
        self.word = nn.Parameter(torch.zeros(c.vocab_size, d))
        self.token_type = nn.Parameter(torch.zeros(c.type_vocab_size, d))
        self.position = nn.Parameter(torch.zeros(c.max_position_embeddings, d)) if c.use_positional_encodings else None
        self.layernorm = nn.LayerNorm(d, eps=c.layer_norm_eps)
        self.filters = Filters(c)
        self.layers = nn.ModuleList(Layer(c) for _ in range(c.num_hidden_layers))

    def hidden(self, ids, mask=None, quantise=0.0, dtype=torch.float32):
        """Hidden states (B, L, d) of the last layer."""
        x = fake(self.word[ids] if torch.compiler.is_compiling() else F.embedding(ids, self.word), quantise) + self.token_type[0]
        if self.position is not None:
            x = x + self.position[: ids.shape[1]]
        h = self.layernorm(x).to(dtype)
        taps = self.filters(min(ids.shape[1], self.c.long_conv_l_max), quantise)
        for layer, k in zip(self.layers, taps):
            h = layer(h, k, mask, quantise)
        return h

    def forward(self, ids, mask=None, quantise=0.0, dtype=torch.float32):
        """Unit vectors (B, d): the mean of the hidden states under the mask, divided by its norm."""
        h = self.hidden(ids, mask, quantise, dtype).float()
        if mask is None:
            return F.normalize(h.mean(1), dim=-1)
        return F.normalize((h * mask[..., None]).sum(1), dim=-1)

    @torch.no_grad()
    def grown(self, layers):
        """This model with more layers that computes the same: copies of layers, spread evenly, each behind its original,
        that hand on what they read.

        In a copy the gate and the MLP give nothing, the residual filter is its D term of one and the output projection the
        identity, so that a LayerNorm is left. It takes the gain and the bias of the original's, which then has neither:
        normalising twice changes nothing. All that is zeroed gets a gradient, as the other factor of its product is not zero.
        """
        n, d = self.c.num_hidden_layers, self.c.hidden_size
        if layers < n:
            raise ValueError(f"{layers} layers, want at least the model's {n}")
        added = [k * n // (layers - n) for k in range(layers - n)]
        order = sorted([*range(n), *added])
        old, new = self.state_dict(), {}
        for name, value in old.items():
            if name.startswith("filters."):
                new[name] = value[order]
            elif not name.startswith("layers."):
                new[name] = value
        for i, source in enumerate(order):
            prefix = f"layers.{source}."
            new.update({f"layers.{i}." + k.removeprefix(prefix): v for k, v in old.items() if k.startswith(prefix)})
        model = M2Bert(replace(self.c, num_hidden_layers=layers)).to(self.word.device)
        model.load_state_dict(new)
        for i in range(1, layers):
            if order[i] != order[i - 1]:
                continue
            layer, before = model.layers[i], model.layers[i - 1].layernorm
            before.weight.fill_(1)
            before.bias.zero_()
            for part in (layer.in_linear.weight, layer.in_linear.bias, layer.short_filter.bias):
                part[d : 2 * d] = 0  # x2, the gate
            model.filters.w6[i, 1] = 0
            layer.filter_bias[1] = 1
            layer.out_linear.weight.copy_(torch.eye(d))
            for part in (layer.out_linear.bias, layer.wo, layer.wo_bias):
                part.zero_()
        return model

    # Checkpoint names <-> stacked parameters.

    def tensors(self):
        """Every tensor of the checkpoint under its published name, as (shape-adjusted) views of the parameters."""
        out = {
            "embeddings.word_embeddings.weight": self.word,
            "embeddings.token_type_embeddings.weight": self.token_type,
            "embeddings.LayerNorm.weight": self.layernorm.weight,
            "embeddings.LayerNorm.bias": self.layernorm.bias,
        }
        if self.position is not None:
            out["embeddings.position_embeddings.weight"] = self.position
        f = self.filters
        for i, layer in enumerate(self.layers):
            a = f"encoder.layer.{i}.attention."
            for name in ("in_linear", "short_filter", "out_linear"):
                out[a + name + ".weight"] = getattr(layer, name).weight
                out[a + name + ".bias"] = getattr(layer, name).bias
            for j, fn in enumerate(("filter_fn.", "filter_fn2.")):
                out[a + fn + "bias"] = layer.filter_bias[j]
                out[a + fn + "pos_emb.z"] = f.z[i, j][None]
                out[a + fn + "pos_emb.t"] = f.t[i, j][None, :, None]
                out[a + fn + "modulation.deltas"] = f.deltas[i, j][None, None]
                out[a + fn + "implicit_filter.1.freq"] = f.freq[i, j][None]
                for k, way in enumerate(("implicit_filter.", "implicit_filter_rev.")):
                    for at, w, b in ((0, f.w0, f.b0), (2, f.w2, f.b2), (4, f.w4, f.b4)):
                        out[a + fn + f"{way}{at}.weight"] = w[i, j, k]
                        out[a + fn + f"{way}{at}.bias"] = b[i, j, k]
                    out[a + fn + way + "6.weight"] = f.w6[i, j, k]
            m = f"encoder.layer.{i}.mlp."
            out[m + "gated_layers.weight"] = layer.gated_layers
            out[m + "wo.weight"] = layer.wo
            out[m + "wo.bias"] = layer.wo_bias
            out[m + "layernorm.weight"] = layer.layernorm.weight
            out[m + "layernorm.bias"] = layer.layernorm.bias
        return out

    @torch.no_grad()
    def load(self, weights):
        """Copies a checkpoint (names with or without `bert.`; int8 tensors with their scales) into the parameters."""
        weights = {k.removeprefix("bert."): v for k, v in weights.items()}
        for name, to in self.tensors().items():
            w = weights[name]
            if w.dtype == torch.int8:
                w = w.float() * weights[name + "_scale"][..., None]
            if w.shape != to.shape:
                raise ValueError(f"tensor {name}: shape {tuple(w.shape)}, want {tuple(to.shape)}")
            to.copy_(w)
        return self
