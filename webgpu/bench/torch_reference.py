"""M2-BERT's forward pass in PyTorch, float32 without TF32, for comparison with
the GPU kernels of this project: the 80M shape with random weights, and the
single operations. Prints one JSON object a line.

    python torch_reference.py
"""
import json
import time

import torch
from torch.nn import functional as F

torch.backends.cuda.matmul.allow_tf32 = False
torch.backends.cudnn.allow_tf32 = False
DEVICE = "cuda"
D, INNER, LAYERS, BLOCKS, ORDER, FEATURES, LMAX = 768, 3072, 12, 4, 128, 5, 32768


def uniform(*shape, scale):
    return (torch.rand(*shape, device=DEVICE) * 2 - 1) * scale


class Filter:
    """Taps of one long convolution: a sine network of the position, with decay."""

    def __init__(self):
        self.z = uniform(LMAX, FEATURES, scale=1.0)
        self.t = torch.linspace(0, 1, LMAX, device=DEVICE)[:, None]
        self.deltas = torch.linspace(3.07, 15.35, D, device=DEVICE)[None]
        self.freq = 10 + uniform(ORDER, scale=0.5)
        self.bias = uniform(D, scale=1.0)
        widths = [FEATURES, ORDER, ORDER]
        self.networks = [
            ([(uniform(ORDER, w, scale=w**-0.5), uniform(ORDER, scale=w**-0.5)) for w in widths], uniform(D, ORDER, scale=3 / (ORDER * LMAX) ** 0.5))
            for _ in range(2)
        ]

    def spectrum(self, length):
        taps = []
        for layers, out in self.networks:
            x = self.z[:length]
            for w, b in layers:
                x = torch.sin(self.freq * F.linear(x, w, b))
            taps.append((x @ out.T * torch.exp(-self.t[:length] * self.deltas)).T)
        forward, reverse = taps
        kernel = F.pad(forward, (0, length)) + F.pad(reverse.flip(-1), (length, 0))
        return torch.fft.rfft(kernel, n=2 * length)


def convolve(u, spectrum, bias):
    length = u.shape[-1]
    y = torch.fft.irfft(torch.fft.rfft(u, n=2 * length) * spectrum, n=2 * length)[..., :length]
    return y + u * bias[:, None]


def blockdiag(x, weight):
    n, q, p = weight.shape
    y = torch.bmm(x.reshape(-1, n, p).transpose(0, 1), weight.transpose(1, 2))
    return y.transpose(0, 1).reshape(*x.shape[:-1], n * q)


class Layer:
    def __init__(self):
        self.in_weight, self.in_bias = uniform(3 * D, D, scale=0.5 * (3 / D) ** 0.5), uniform(3 * D, scale=0.1)
        self.short, self.short_bias = uniform(3 * D, 1, 3, scale=1.0), uniform(3 * D, scale=0.1)
        self.filters = [Filter(), Filter()]
        self.out_weight, self.out_bias = uniform(D, D, scale=0.7 * (3 / D) ** 0.5), uniform(D, scale=0.05)
        self.gated = uniform(BLOCKS, 2 * INNER // BLOCKS, D // BLOCKS, scale=(3 * BLOCKS / D) ** 0.5)
        self.wo, self.wo_bias = uniform(BLOCKS, D // BLOCKS, INNER // BLOCKS, scale=0.7 * (3 * BLOCKS / INNER) ** 0.5), uniform(D, scale=0.05)
        self.norm = torch.ones(D, device=DEVICE), torch.zeros(D, device=DEVICE)

    def forward(self, h, spectra):
        length = h.shape[1]
        p = F.linear(h, self.in_weight, self.in_bias).transpose(1, 2)
        s = F.conv1d(p, self.short, self.short_bias, padding=2, groups=3 * D)[..., :length]
        x1, x2, v = s.split(D, dim=1)
        y = convolve(v * x1, spectra[0], self.filters[0].bias) * x2
        y = y + convolve(h.transpose(1, 2), spectra[1], self.filters[1].bias)
        m = F.linear(y.transpose(1, 2), self.out_weight, self.out_bias)
        g = blockdiag(m, self.gated)
        u = F.gelu(g[..., :INNER]) * g[..., INNER:]
        return F.layer_norm(blockdiag(u, self.wo) + self.wo_bias + m, (D,), *self.norm, eps=1e-12)


class Model:
    def __init__(self):
        self.words, self.positions = uniform(30528, D, scale=0.035), uniform(LMAX, D, scale=0.035)
        self.layers = [Layer() for _ in range(LAYERS)]
        self.pooler = uniform(D, D, scale=0.5 * (3 / D) ** 0.5)

    def forward(self, ids, kept=None):
        length = ids.shape[1]
        h = F.layer_norm(self.words[ids] + self.positions[:length], (D,), eps=1e-12)
        for i, layer in enumerate(self.layers):
            spectra = kept[i] if kept else [f.spectrum(length) for f in layer.filters]
            h = layer.forward(h, spectra)
        return torch.tanh(F.linear(h[:, 0], self.pooler))


def median(work, budget=0.5):
    work()
    torch.cuda.synchronize()
    times = []
    started = time.perf_counter()
    while len(times) < 5 or time.perf_counter() - started < budget and len(times) < 50:
        before = time.perf_counter()
        work()
        torch.cuda.synchronize()
        times.append(time.perf_counter() - before)
    return sorted(times)[len(times) // 2]


def show(name, seconds, amount=0.0, unit=""):
    print(json.dumps({"name": name, "milliseconds": seconds * 1e3, "rate": amount / seconds / 1e9, "unit": unit}), flush=True)


@torch.inference_mode()
def main():
    torch.manual_seed(1)
    for n in (2048, 4096):
        a, b = uniform(n, n, scale=1.0), uniform(n, n, scale=1.0)
        median(lambda: a @ b)
        show(f"product {n}³", median(lambda: a @ b), 2 * n**3, "GFLOP/s")
    w, x = uniform(D, D, scale=1.0), uniform(32768, D, scale=1.0)
    show("product 768 × 768 × 32768", median(lambda: F.linear(x, w)), 2 * D * D * 32768, "GFLOP/s")
    a = uniform(1 << 26, scale=1.0)
    b = torch.empty_like(a)
    show("copy 256 MiB", median(lambda: b.copy_(a)), 8 * (1 << 26), "GB/s")
    for length, texts in ((128, 512), (512, 128), (2048, 32), (4096, 16), (8192, 8), (32768, 2)):
        u = uniform(texts, D, length, scale=1.0)
        k = torch.fft.rfft(uniform(D, length, scale=1.0), n=2 * length)
        bias = uniform(D, scale=1.0)
        show(f"long convolution, {length} tokens, {texts * D} rows", median(lambda: convolve(u, k, bias)), 8 * u.numel(), "GB/s")
        del u, k
    model = Model()
    for texts, length in ((32, 128), (1, 128), (1, 2048), (1, 8192), (1, 32768)):
        ids = torch.randint(1000, 30000, (texts, length), device=DEVICE)
        show(f"80M, {texts} × {length} tokens, filters made anew", median(lambda: model.forward(ids)))
        if length <= 8192:
            kept = [[f.spectrum(length) for f in layer.filters] for layer in model.layers]
            show(f"80M, {texts} × {length} tokens, spectra kept", median(lambda: model.forward(ids, kept)))
            del kept


main()
