"""GNMT one sentence and one step at a time, in formulas: what the network is compared with.

Written from the table of the reference, and of nothing that the network itself uses.
"""

import math

import torch


class Naive:
    """Reads the tensors of a network by name; sentences and outputs are lists."""

    def __init__(self, module, layers, context):
        self.tensors = {name: t.detach().double() for name, t in module.state_dict().items()}
        self.layers, self.context = layers, context

    def lstm(self, name, ending, x, state):
        gates = self.tensors[f"{name}.weight_ih{ending}"] @ x
        gates = gates + self.tensors[f"{name}.weight_hh{ending}"] @ state[0]
        gates = gates + self.tensors[f"{name}.bias_ih{ending}"]
        width = len(state[0])
        forget = self.tensors[f"{name}.bias_hh{ending}"][width : 2 * width]
        i, f, g, o = gates.reshape(4, width)
        cell = torch.sigmoid(f + forget) * state[1] + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(cell), cell

    def run(self, name, ending, inputs, state):
        outputs = []
        for x in inputs:
            state = self.lstm(name, ending, x, state)
            outputs.append(state[0])
        return outputs, state

    def encode(self, source):
        width = self.tensors["source.weight"].shape[1]
        zero = (torch.zeros(width).double(), torch.zeros(width).double())
        embedded = [self.tensors["source.weight"][piece] for piece in source]
        forward, _ = self.run("encoder.0", "_l0", embedded, zero)
        backward, first = self.run("encoder.0", "_l0_reverse", embedded[::-1], zero)
        below = [torch.cat(pair) for pair in zip(forward, backward[::-1], strict=True)]
        states = [first]
        for layer in range(1, self.layers):
            made, state = self.run(f"encoder.{layer}", "_l0", below, zero)
            below = [m + b for m, b in zip(made, below, strict=True)] if layer >= 2 else made
            states.append(state)
        return below, states

    def attend(self, query, memory):
        v, g = self.tensors["attention.v.weight"][0], self.tensors["attention.g"]
        scores = []
        for one in memory:
            inner = self.tensors["attention.memory.weight"] @ one
            inner = inner + self.tensors["attention.query.weight"] @ query
            inner = torch.tanh(inner + self.tensors["attention.query.bias"])
            scores.append(sum(g * v * inner / math.sqrt(sum(v**2))))
        weights = torch.softmax(torch.stack(scores), 0)
        return sum(w * one for w, one in zip(weights, memory, strict=True)), weights

    def decode(self, source, given):
        """(logits, attention) of every step."""
        memory, states = self.encode(source)
        context = torch.zeros_like(memory[0])
        made = []
        for piece in given:
            x = self.tensors["target.weight"][piece]
            if self.context:
                states[0] = self.lstm("decoder.0", "", torch.cat([x, context]), states[0])
            else:
                states[0] = self.lstm("decoder.0", "_l0", x, states[0])
            below = states[0][0]
            context, weights = self.attend(below, memory)
            for layer in range(1, self.layers):
                x = torch.cat([below, context])
                states[layer] = self.lstm(f"decoder.{layer}", "_l0", x, states[layer])
                below = states[layer][0] + (below if layer >= 2 else 0)
            made.append((self.tensors["output.weight"] @ below, weights))
        return made
