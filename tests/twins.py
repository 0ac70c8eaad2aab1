"""Made-up tables of one replicate as tables of two, of which claims can be judged."""

import pandas as pd


def twins(tidy: pd.DataFrame) -> pd.DataFrame:
    """Every row again as that of another seed, where there is only one: nothing scatters then."""
    if tidy["seed"].nunique() != 1:
        return tidy
    return pd.concat([tidy, tidy.assign(seed=tidy["seed"] + 100)], ignore_index=True)
