"""The model of the rows about batches: 512 → 2048 → 2048 → 10 in torch, random weights."""

import torch


def make():
    torch.manual_seed(0)
    layers = [torch.nn.Linear(512, 2048), torch.nn.ReLU(), torch.nn.Linear(2048, 2048), torch.nn.ReLU()]
    return torch.nn.Sequential(*layers, torch.nn.Linear(2048, 10), torch.nn.Softmax(dim=1)).eval()
