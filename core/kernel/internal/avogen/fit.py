"""Fits the polynomials of math.go. Weighted minimax by Lawson's iteration.

Run with numpy and scipy: python3 fit.py. Prints each largest error in exact
arithmetic and the coefficients rounded to float32.
"""
import numpy as np
from scipy.special import erfcx


def fit(target, weight, basis, points, iterations=400):
    columns = np.stack([b(points) for b in basis], 1)
    y, w = target(points), weight(points)
    lawson, best = np.ones_like(points) / len(points), None
    for _ in range(iterations):
        s = np.sqrt(lawson) * w
        c, *_ = np.linalg.lstsq(columns * s[:, None], y * s, rcond=None)
        error = np.abs((columns @ c - y) * w)
        if best is None or error.max() < best[0]:
            best = error.max(), c
        lawson = lawson * (error + 1e-30)
        lawson /= lawson.sum()
    return best[0], [float(np.float32(c)) for c in best[1]]


# gelu(x) = max(x, 0) - u exp(-u^2/2) Q(t), u = |x|, t = 1/(1 + 0.4 u),
# Q = t (q1 + t (q2 + ...)): erfcx(u/sqrt 2)/2.
u = np.linspace(0, 7, 8001)
print("gelu", fit(lambda t: 0.5 * erfcx(u / np.sqrt(2)), lambda t: u * np.exp(-u * u / 2) + 1e-9,
                  [lambda t, k=k: t**k for k in range(1, 7)], 1 / (1 + 0.4 * u)))

# sin(r) = r + r^3 (s0 + r^2 (s1 + ...)) for |r| <= pi/2.
r = np.cos(np.linspace(0, np.pi / 2, 4001)) * np.pi / 2
print("sine", fit(lambda x: np.sin(x) - x, np.ones_like, [lambda x, k=k: x ** (2 * k + 3) for k in range(4)], r[r > 1e-3]))

# exp(x) = 1 + x + x^2 (e0 + x (e1 + ...)) for |x| <= ln(2)/2.
x = np.cos(np.linspace(0, np.pi, 4001)) * np.log(2) / 2
print("exp", fit(lambda x: np.exp(x) - 1 - x, lambda x: np.exp(-x), [lambda x, k=k: x ** (k + 2) for k in range(5)], x))
