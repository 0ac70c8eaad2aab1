"""Translation: batches of pairs of sentences, cross-entropy of target pieces, BLEU."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from pruning.data.examples import one_pair
from pruning.data.sentence_batches import (
    ScoringSentences,
    SentenceBatch,
    SentenceStream,
    sentence_batch,
)
from pruning.data.sentence_batching import SentenceBatching
from pruning.data.sentences import ParallelText, load_text
from pruning.data.validation import OWN
from pruning.errors import PruningError
from pruning.models.beam_search import beam_search
from pruning.models.config import NetworkConfig
from pruning.models.own import Factory, Wanted
from pruning.models.token_loss import summed_loss
from pruning.seeds import generator
from pruning.training import processes
from pruning.training.bleu import bleu, signatures
from pruning.training.metric import BLEU, Metric
from pruning.training.recipe import Recipe
from pruning.training.with_network import WithNetwork, study_values

SENTENCES = 100  # to score weights on, where nothing is said
AT_A_TIME = 100  # sentences that are translated together
NEEDED = ("features", "project", "encode", "step")


@dataclass(frozen=True)
class Translation(WithNetwork):
    """Sentences of one language in, their translations out. The library calls it so too.

    A batch is a :class:`pruning.data.sentence_batches.SentenceBatch`. Networks have, besides
    ``forward``, what :class:`pruning.models.gnmt.Gnmt` has: ``features`` and ``project``, so that
    not all logits have to be there at once, ``encode`` and ``step``, so that it can be searched.

    Attributes:
        data: splits, on the device that trains.
        network: by name; a function from how many pieces source and target have to a module; or a
            module, of which a copy is kept and whose own weights are what is trained first.
        recipe: how to train it.
        exempt: names of layers or tensors that are never pruned.
        also_prunable: names of tensors that are pruned though of no layer that is known.
        name: how errors and log lines call it.
    """

    data: ParallelText
    network: NetworkConfig | Factory | nn.Module
    recipe: Recipe
    exempt: tuple[str, ...] = ()
    name: str = "task"
    also_prunable: tuple[str, ...] = ()

    metric: ClassVar[Metric] = BLEU

    def __post_init__(self) -> None:
        if not isinstance(self.recipe.batches, SentenceBatching):
            raise PruningError(
                f"{self.name}: the recipe's batches are of images. Say `batches: {{kind: "
                "sentences, size: ...}`, in the library `SentenceBatching(...)`."
            )
        self.take_network()

    @property
    def device(self) -> torch.device:
        """Where it trains."""
        return self.data.device

    def examples(self, split: str) -> int:
        """How many pairs a split has."""
        return len(getattr(self.data, split))

    def batches(self, seed: int, stream: Sequence[str | int]) -> SentenceStream:
        """The training batches of one run."""
        return SentenceStream(self.data.train, self.recipe.batches, seed, stream)

    def loss(self, module: nn.Module, batch: SentenceBatch) -> Tensor:
        """Cross-entropy in nats, summed over the pieces of each sentence, ends included; of the
        batch's sentences the recipe's mean or sum, with its smoothing."""
        total = self._summed(module, batch)
        return total if self.recipe.loss == "sum" else total / len(batch)

    def batch_examples(self, batch: SentenceBatch) -> int:
        """How many pairs a batch has."""
        return len(batch)

    def scoring_batches(self, seed: int, sentences: int = SENTENCES) -> ScoringSentences:
        """So many training pairs, drawn from the seed alone."""
        return ScoringSentences(
            self.data.train,
            sentences=sentences,
            size=self.recipe.batches.size,
            generator=generator(seed, "scoring sentences"),
        )

    def scoring_loss(
        self, module: nn.Module, batch: SentenceBatch, temperature: float = 1.0
    ) -> Tensor:
        """The mean over sentences of what is summed over their pieces."""
        return self._summed(module, batch, temperature) / len(batch)

    def example(self) -> tuple[Tensor, ...]:
        """A pair of the mean lengths, rounded; which pieces it has decides no cost."""
        return one_pair(*self.data.mean_tokens)

    def check_network(self, module: nn.Module, made: Any) -> None:
        """Refuse what makes other than one logit for each piece, or cannot be searched."""
        self.wanted.check(made)
        lacking = [name for name in NEEDED if not callable(getattr(module, name, None))]
        if lacking:
            raise PruningError(
                f"The network ({type(module).__name__}) has no {', '.join(lacking)}: to translate, "
                f"it needs {', '.join(NEEDED)}, see pruning.models.gnmt.Gnmt."
            )

    @cached_property
    def wanted(self) -> Wanted:
        """What the network has to be."""
        source, target = self.data.vocabulary
        example = self.example()
        what = f"a pair of {example[0].shape[1]} and {example[2].shape[1]} pieces"
        return Wanted(
            source, target, example, what, "source_pieces, target_pieces", self._check_logits
        )

    def _check_logits(self, made: Any) -> None:
        wanted = (1, self.example()[2].shape[1], self.data.vocabulary[1])
        found = tuple(made.shape) if isinstance(made, Tensor) else type(made).__name__
        if found != wanted:
            raise PruningError(
                f"The network makes {found} of a pair of sentences, where it has to give a logit "
                f"for each step and each piece of the target, {wanted}."
            )

    def record(self) -> dict[str, Any]:
        """The data set, and how sacrebleu calls the scores."""
        return {**self.data.record, "signatures": signatures()}

    def evaluate(self, module: nn.Module, split: str) -> dict[str, float]:
        """BLEU in both readings, and the cross-entropy in nats per piece, without smoothing.

        Processes that train together take turns, batch by batch.
        """
        pairs = getattr(self.data, split)
        order = pairs.source.lengths.argsort(stable=True)  # of like lengths, for little padding
        mine = order.split(AT_A_TIME)[processes.rank() :: processes.world()]
        found: list[tuple[int, str]] = []
        loss, count = 0.0, 0
        for rows in mine:
            batch = sentence_batch(pairs, rows)
            features = module.features(batch.source, batch.source_lengths, batch.given)
            loss += self._loss_of(module, features, batch).item()
            count += int(batch.lengths.sum())
            made = beam_search(module, batch.source, batch.source_lengths)
            found += [
                (row, self.data.text(pieces))
                for row, pieces in zip(rows.tolist(), made, strict=True)
            ]
        loss, count = processes.total(loss, count)
        texts = dict(pair for share in processes.gathered(found) for pair in share)
        hypotheses = [texts[row] for row in range(len(pairs))]
        return {**bleu(hypotheses, pairs.references), "loss": loss / count}

    def _summed(self, module: nn.Module, batch: SentenceBatch, temperature: float = 1.0) -> Tensor:
        features = module.features(batch.source, batch.source_lengths, batch.given)
        smoothing = self.recipe.label_smoothing
        return self._loss_of(module, features, batch, smoothing=smoothing, temperature=temperature)

    def _loss_of(
        self, module: nn.Module, features: Tensor, batch: SentenceBatch, **options: float
    ) -> Tensor:
        wanted = batch.wanted, batch.lengths
        return summed_loss(module, features, *wanted, vocabulary=self.data.vocabulary[1], **options)


def from_values(
    values: Mapping[str, Any], data: Path | str, *, device: str, name: str
) -> Translation:
    """A study's task; arguments as of :func:`pruning.training.classification.from_values`.

    Raises:
        PruningError: validation data are wanted of training or test data, though text has its own.
    """
    if values["validation"]["source"] != OWN:
        raise PruningError(
            "Text has validation sentences of its own, and a study says so: `validation: {source: "
            f"{OWN}}}`, not {values['validation']['source']!r}."
        )
    return Translation(
        data=load_text(data, device),
        name=name,
        **study_values(values),
    )
