"""The methods of this wing: one table. No torch here.

Source: Lym, Choukse, Zangeneh, Wen, Sanghavi, Erez (SC 2019, arXiv 1901.09290), and its authors'
code; section numbers are those of the reference. What is marked as ours is no part of it.
"""

from dataclasses import dataclass

UNMODIFIED, FINE_TUNED = "unmodified", "fine_tuned"


@dataclass(frozen=True)
class Method:
    """What distinguishes a method from PruneTrain.

    Attributes:
        once: channels are cut out when training is over, and not before (an interval of infinity).
        trained: it begins with the trained dense network instead of the initial one.
        scaled: each group counts times the root of its number of weights (Yuan & Lin 2006), which
            the authors' code has but does not offer; else all groups share one strength.
        proximal: groups shrink by soft-thresholding after each step, instead of by the penalty's
            gradient. Ours.
        gated: layers of residual branches keep their own channels where they meet others; a network
            without branches keeps what is dense on both sides (the authors' ``is_gating``).
        folded: what a removed branch gave is kept as a constant per channel. Ours; the authors drop
            it.
        grows: the mini-batch grows with the memory that is freed (section 1.7). The rule is ours.
    """

    once: bool = False
    trained: bool = False
    scaled: bool = False
    proximal: bool = False
    gated: bool = False
    folded: bool = False
    grows: bool = False


METHODS = {
    "prunetrain": Method(),
    "prunetrain_one_time": Method(once=True),
    "prunetrain_gating": Method(gated=True),
    "prunetrain_size_scaled": Method(scaled=True),
    "prunetrain_proximal": Method(proximal=True),
    "prunetrain_folded": Method(folded=True),
    "prunetrain_dynamic_batch": Method(grows=True),
    # Group lasso on a trained network, then pruning and fine-tuning (Wen et al. 2016).
    "train_then_prune": Method(once=True, trained=True),
}
