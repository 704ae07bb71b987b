"""Names that are written in different ways."""

import re
import string


def bare(name: str) -> str:
    """A name without case, articles and punctuation, as SQuAD's evaluation compares them (1606.05250).

    >>> bare("The  U.S. Navy")
    'us navy'
    """
    letters = name.lower().translate(str.maketrans("", "", string.punctuation))
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", letters).split())
