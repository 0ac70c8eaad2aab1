"""What data-parallel training sends from worker to worker. No torch here: figures count it."""


def communication(
    parameters: int, iterations: int, workers: int | None = None, word: int = 4
) -> float:
    """Bytes of gradients that each worker of data-parallel training sends. The authors' script has
    no such count; this one is arithmetic.

    Args:
        parameters: of the network that is trained.
        iterations: how often gradients are exchanged: steps of an epoch, for what an epoch costs.
        workers: that exchange them by a ring all-reduce, which sends 2(W-1)/W times what there is;
            None for the gradients themselves, once.
        word: bytes of a number.
    """
    rounds = 1.0 if workers is None else 2 * (workers - 1) / workers
    return parameters * word * iterations * rounds
