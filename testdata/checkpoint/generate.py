"""Makes the small checkpoint files of this folder with the real torch.save and safetensors.

usage: python generate.py    (in this folder; versions used: see README.md)

All float tensors hold 0, 1, 2, ... in row-major order, so that a reader can be checked without a second file.
"""
import collections
import torch
from safetensors.torch import save_file, save_model


def ramp(*shape, dtype=torch.float32):
    n = 1
    for s in shape:
        n *= s
    return torch.arange(n, dtype=torch.float32).reshape(shape).to(dtype)


def tensors():
    base = ramp(4, 6)
    return collections.OrderedDict([
        ("bert.float32", ramp(2, 3)),
        ("bert.float16", ramp(2, 3, dtype=torch.float16)),
        ("bert.bfloat16", ramp(2, 3, dtype=torch.bfloat16)),
        ("bert.float64", ramp(2, 3, dtype=torch.float64)),
        ("bert.int64", ramp(2, 3, dtype=torch.int64)),
        ("bert.int32", ramp(2, 3, dtype=torch.int32)),
        ("bert.int16", ramp(2, 3, dtype=torch.int16)),
        ("bert.int8", ramp(2, 3, dtype=torch.int8)),
        ("bert.uint8", ramp(2, 3, dtype=torch.uint8)),
        ("bert.bool", torch.tensor([False, True])),
        ("bert.scalar", torch.tensor(7.0)),
        ("bert.empty", torch.zeros(0, 3)),
        ("bert.parameter", torch.nn.Parameter(ramp(2, 3))),
        ("bert.frozen", torch.nn.Parameter(ramp(2, 3), requires_grad=False)),
        ("bert.transposed", ramp(3, 2).t().contiguous().t()),        # reads 0, 1, 2, ... through strides
        ("bert.base", base),
        ("bert.rows", base[1:3]),
        ("bert.column", base[:, 2]),
        ("bert.every_other", base[:, ::2]),
        ("bert.same", base),
    ])


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(3, 2)
        self.tied = torch.nn.Linear(3, 2)
        self.tied.weight = self.linear.weight
        self.register_buffer("steps", torch.tensor(5))
        with torch.no_grad():
            self.linear.weight.copy_(ramp(2, 3))
            self.linear.bias.copy_(ramp(2))
            self.tied.bias.copy_(ramp(2))


for protocol in (2, 3, 4, 5):
    torch.save(tensors(), f"protocol{protocol}.pt", pickle_protocol=protocol)
torch.save(tensors(), "legacy.pt", _use_new_zipfile_serialization=False)
net = Net()
torch.save(net.state_dict(), "module.pt")                                  # an OrderedDict with attributes
torch.save({"epoch": 3, "state_dict": torch.nn.DataParallel(net).state_dict(), "optimizer": {}}, "training.pt")
torch.save(net, "whole_module.pt")                                         # an object: has to be refused
save_model(net, "module.safetensors")
save_file({k: v.contiguous().clone() for k, v in tensors().items()}, "dtypes.safetensors", metadata={"note": "é \"quoted\"\n"})
