"""GNMT (Wu et al. 2016) as Renda et al. (2020) trained it: the table of reference, section 2.2."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from pruning.models.attention import Attention
from pruning.option_types import BelowOne, Count, Positive

States = tuple[Tensor, Tensor]  # of an LSTM: output and cell, (B, H) each


@dataclass(frozen=True)
class Decoding:
    """Where a decoder is, a row for each sentence or hypothesis.

    Attributes:
        memory: what the encoder made, (R, S, H); ``keys``: its part of attention's scores.
        padding: bool (R, S), true where a source has ended; None where none has.
        states: of each layer.
        context: of the last step, (R, H); zero before the first.
    """

    memory: Tensor
    keys: Tensor
    padding: Tensor | None
    states: tuple[States, ...]
    context: Tensor

    def rows(self, index: Tensor) -> "Decoding":
        """Some rows, or rows several times, by int64 (R',)."""
        return Decoding(
            self.memory[index],
            self.keys[index],
            None if self.padding is None else self.padding[index],
            tuple((output[index], cell[index]) for output, cell in self.states),
            self.context[index],
        )


class Gnmt(nn.Module):
    """Sentences in, logits of their translations out; see :func:`gnmt`."""

    def __init__(
        self,
        source_vocabulary: int,
        target_vocabulary: int,
        hidden: int,
        layers: int,
        dropout: float,
        forget_bias: float,
        attention_scale: float | None,
        first_layer_context: bool,
    ) -> None:
        super().__init__()
        self.hidden, self.dropout, self.first_layer_context = hidden, dropout, first_layer_context
        self.source = nn.Embedding(source_vocabulary, hidden)
        self.target = nn.Embedding(target_vocabulary, hidden)
        encoder = [nn.LSTM(hidden, hidden, batch_first=True, bidirectional=True)]
        decoder: list[nn.Module] = [
            nn.LSTMCell(2 * hidden, hidden)
            if first_layer_context
            else nn.LSTM(hidden, hidden, batch_first=True)
        ]
        for layer in range(1, layers):
            width = 2 * hidden if layer == 1 else hidden
            encoder.append(nn.LSTM(width, hidden, batch_first=True))
            decoder.append(nn.LSTM(2 * hidden, hidden, batch_first=True))
        self.encoder, self.decoder = nn.ModuleList(encoder), nn.ModuleList(decoder)
        self.attention = Attention(hidden, attention_scale)
        self.output = nn.Linear(hidden, target_vocabulary, bias=False)
        for lstm in (*self.encoder, *self.decoder):
            _freeze_second_bias(lstm, hidden, forget_bias)

    def forward(self, source: Tensor, source_lengths: Tensor, given: Tensor) -> Tensor:
        """Logits (B, T, pieces).

        Args:
            source: pieces (B, S), without beginning and end.
            source_lengths: how many of them are real, (B,), on the CPU.
            given: pieces of the target up to each step, (B, T), beginning with its beginning.
        """
        return self.project(self.features(source, source_lengths, given))

    def features(self, source: Tensor, source_lengths: Tensor, given: Tensor) -> Tensor:
        """What logits are made of, (B, T, H). Arguments as of :meth:`forward`."""
        start = self.encode(source, source_lengths)
        embedded = self.target(given)
        if self.first_layer_context:
            below, contexts = self._first_in_a_loop(embedded, start)
        else:
            below, _ = _run(self.decoder[0], self._dropped(embedded), start.states[0])
            contexts, _ = self.attention(below, start.keys, start.memory, start.padding)
        return self._upper(below, contexts, start.states)[0]

    def project(self, features: Tensor) -> Tensor:
        """Logits (..., pieces) of features (..., H)."""
        return self.output(features)

    def encode(self, source: Tensor, source_lengths: Tensor) -> Decoding:
        """Read sentences; where the decoder then starts. Arguments as of :meth:`forward`."""
        ragged = bool((source_lengths != source.shape[1]).any())
        below, states = self.source(source), []
        for layer, lstm in enumerate(self.encoder):
            made, state = _read(lstm, self._dropped(below), source_lengths if ragged else None)
            below = made + below if layer >= 2 else made
            states.append(state)
        padding = None
        if ragged:
            places = torch.arange(source.shape[1], device=source.device)
            padding = places >= source_lengths.to(source.device, non_blocking=True)[:, None]
        start = below.new_zeros(len(source), self.hidden)
        return Decoding(below, self.attention.keys(below), padding, tuple(states), start)

    def step(self, tokens: Tensor, at: Decoding) -> tuple[Tensor, Tensor, Decoding]:
        """One more piece of every row.

        Args:
            tokens: the pieces before, (R,).
            at: where the decoder is.

        Returns:
            Logits (R, pieces), what was attended to (R, S), and where the decoder is now.
        """
        embedded = self.target(tokens)
        if self.first_layer_context:
            given = self._dropped(torch.cat([embedded, at.context.to(embedded.dtype)], 1))
            first = self.decoder[0](given, at.states[0])
            below = first[0][:, None]
        else:
            below, first = _run(self.decoder[0], self._dropped(embedded)[:, None], at.states[0])
        context, weights = self.attention(below, at.keys, at.memory, at.padding)
        made, upper = self._upper(below, context, at.states)
        now = replace(at, states=(first, *upper), context=context[:, 0])
        return self.project(made[:, 0]), weights[:, 0], now

    def _upper(
        self, below: Tensor, contexts: Tensor, starts: tuple[States, ...]
    ) -> tuple[Tensor, tuple[States, ...]]:
        """Layers 1 to the last over whole sequences, from the outputs of layer 0."""
        states = []
        for layer, lstm in enumerate(self.decoder[1:], start=1):
            given = self._dropped(torch.cat([below, contexts.to(below.dtype)], 2))
            made, state = _run(lstm, given, starts[layer])
            below = made + below if layer >= 2 else made
            states.append(state)
        return below, tuple(states)

    def _first_in_a_loop(self, embedded: Tensor, start: Decoding) -> tuple[Tensor, Tensor]:
        """Outputs and contexts (B, T, H) of layer 0, which reads the context of the step before.

        What depends on the embeddings alone is computed for all steps at once.
        """
        cell, width = self.decoder[0], self.hidden
        kernel = cell.weight_ih
        if self.training and self.dropout:
            keep = self._dropped(embedded.new_ones(*embedded.shape[:2], 2 * width))
            embedded, kept = embedded * keep[..., :width], keep[..., width:]
        else:
            kept = None
        gates = nn.functional.linear(embedded, kernel[:, :width], cell.bias_ih) + cell.bias_hh
        of_context, of_output = (w.to(gates.dtype).t() for w in (kernel[:, width:], cell.weight_hh))
        (output, memory), context = start.states[0], start.context
        outputs, contexts = [], []
        for step in range(embedded.shape[1]):
            read = context if kept is None else context * kept[:, step]
            made = torch.addmm(gates[:, step], read.to(gates.dtype), of_context)
            made = torch.addmm(made, output.to(gates.dtype), of_output)
            output, memory = _gated(made, memory)
            found, _ = self.attention(output[:, None], start.keys, start.memory, start.padding)
            context = found[:, 0]
            outputs.append(output)
            contexts.append(context)
        return torch.stack(outputs, 1), torch.stack(contexts, 1)

    def _dropped(self, given: Tensor) -> Tensor:
        return nn.functional.dropout(given, self.dropout, self.training)


def gnmt(
    source_vocabulary: int,
    target_vocabulary: int,
    *,
    hidden: Count = 1024,
    layers: Count = 4,
    dropout: BelowOne = 0.2,
    forget_bias: float = 0.0,
    attention_scale: Positive | None = None,
    first_layer_context: bool = True,
) -> nn.Module:
    """GNMT. As it stands, with 32,316 pieces on both sides, that of Renda et al. (2020).

    Layer 0 of the encoder reads both ways; layers from 2 on add their input to their output. The
    decoder's layer l begins with the last state of the encoder's (of layer 0, the backward one's).
    Its layer 0 also reads the context of the step before; with its output attention asks, and the
    layers above read the context of this step. Dropout is on the input of every LSTM.

    In bfloat16 on a CPU, batches of sentences of several lengths are read in float32: torch has no
    other LSTMs for packed sequences there.

    Args:
        source_vocabulary, target_vocabulary: how many pieces there are.
        hidden: H, of embeddings, LSTMs and attention.
        layers: of encoder and decoder, 2 or more.
        dropout: probability.
        forget_bias: a constant that is added before the sigmoid of forget gates, not trained.
        attention_scale: g at the start; sqrt(1/H) without it, which is flat where H is small.
        first_layer_context: whether layer 0 of the decoder reads contexts. Without, attention is of
            all steps at once, and several times as fast: the variant of the PyTorch GNMT of MLPerf.
    """
    if layers < 2:
        raise ValueError(f"layers must be at least 2, it is {layers}")
    return Gnmt(
        source_vocabulary,
        target_vocabulary,
        hidden,
        layers,
        dropout,
        forget_bias,
        attention_scale,
        first_layer_context,
    )


def _freeze_second_bias(lstm: nn.Module, hidden: int, forget_bias: float) -> None:
    """torch has two biases per gate. One is trained; the other is the constant of forget gates."""
    for name, bias in lstm.named_parameters():
        if name.startswith("bias_hh"):
            bias.requires_grad_(False).zero_()
            bias[hidden : 2 * hidden] = forget_bias


def _read(lstm: nn.Module, given: Tensor, lengths: Tensor | None) -> tuple[Tensor, States]:
    """Outputs, zero where there is padding, and the last state; of two directions the backward."""
    if lengths is None:
        made, (outputs, cells) = lstm(given)
    else:
        packed = pack_padded_sequence(given, lengths, batch_first=True, enforce_sorted=False)
        packed, (outputs, cells) = lstm(packed)
        made, _ = pad_packed_sequence(packed, batch_first=True, total_length=given.shape[1])
    return made, (outputs[-1], cells[-1])


def _run(lstm: nn.Module, given: Tensor, start: States) -> tuple[Tensor, States]:
    """Outputs (B, T, H) from a state, and the last state."""
    begin = tuple(part[None].to(given.dtype).contiguous() for part in start)
    made, (output, cell) = lstm(given, begin)
    return made, (output[0], cell[0])


def _gated(gates: Tensor, memory: Tensor) -> States:
    """An LSTM's new output and cell from what its gates are before their sigmoids and tanh."""
    enter, forget, candidate, leave = gates.chunk(4, 1)
    memory = forget.sigmoid() * memory + enter.sigmoid() * candidate.tanh()
    return leave.sigmoid() * memory.tanh(), memory
