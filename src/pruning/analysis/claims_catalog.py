"""Every page of claims by name, of all systems."""

from pruning.errors import look_up
from pruning.study.study import Study
from pruning.systems import joined
from pruning.systems.system import Claims

# A new page changes no other; what is used of one is among the parameters of its rule.
CODE_VERSION_SKIP = "a table of names"


def entry(name: str) -> Claims:
    """The page of claims of this name.

    Raises:
        PruningError: there is none; the message lists those there are.
    """
    return look_up("page of claims", name, joined("claims"))


def claims_of(study: Study) -> list[str]:
    """Names of all pages of claims that a study has."""
    return [name for name, page in joined("claims").items() if page.needs(study)]
