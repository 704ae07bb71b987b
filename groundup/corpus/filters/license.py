"""Source code under licences that allow its use: what a document says of itself against a list."""

import re
from collections.abc import Mapping
from dataclasses import replace

from groundup.corpus.document import Document, Filter, Verdict

# Where files state their licence: in their first lines.
HEAD_CHARACTERS = 6000
SPDX = re.compile(r"SPDX-License-Identifier:\s*\(?\s*([\w.+-]+)")
# Sentences of the licences' own texts and notices, most particular first (the SPDX licence list, spdx.org/licenses).
PHRASES: Mapping[str, str] = {
    "AGPL-3.0": r"gnu affero general public license",
    "LGPL-3.0": r"gnu (lesser|library) general public license",
    "GPL-3.0": r"gnu general public license|\bgpl ?v?[23]\b",
    "MPL-2.0": r"mozilla public license",
    "Apache-2.0": r"apache license,? *(,? *version 2|2\.0)|apache-2\.0",
    "BSD-3-Clause": r"redistribution and use in source and binary forms|\bbsd[- ](style |[23]-clause )?licen[cs]e",
    "ISC": r"\bisc license\b|permission to use, copy, modify, and(/or)? distribute this software",
    "MIT": r"permission is hereby granted, free of charge|\bmit license\b|licensed under the mit\b",
    "PSF-2.0": r"python software foundation license",
    "CC0-1.0": r"cc0|creative commons zero",
    "Unlicense": r"this is free and unencumbered software",
    "proprietary": r"all rights reserved\.? *(unauthori[sz]ed|proprietary|confidential)|proprietary and confidential",
}
# The permissive licences of The Stack (Kocetkov et al. 2022) that are in general use.
PERMISSIVE = ("MIT", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "CC0-1.0", "Unlicense", "0BSD", "Zlib",
              "PSF-2.0", "Python-2.0", "BSL-1.0", "MIT-0")  # fmt: skip


class License(Filter):
    """Keeps documents under a licence that is on the list `allow` (SPDX names); those that state none, if `unstated`.

    The licence is what the source says (`license` in a record), else the SPDX line or the notice in the first lines.

    >>> License().judge(Document("a", "# SPDX-License-Identifier: GPL-3.0-only\\nprint(1)", "s", "p")).reason
    'license_GPL-3.0-only'
    """

    allow: tuple[str, ...] = PERMISSIVE
    unstated: bool = False

    def judge(self, document: Document) -> Verdict:
        """Drop with `license_NAME` or `license_unstated`; the value is 0 where the threshold is 1 licence allowed."""
        found = document.license or stated(document.text)
        labelled = replace(document, license=found) if found != document.license else None
        # "MIT OR Apache-2.0" leaves the choice to whoever uses it.
        names = {name.strip("() ").lower() for name in re.split(r"\s+or\s+|/|,", found, flags=re.IGNORECASE)}
        if (self.unstated and not found) or not names.isdisjoint(name.lower() for name in self.allow):
            return Verdict(True, document=labelled)
        return Verdict(False, f"license_{found or 'unstated'}", 0.0, 1.0, labelled)


def stated(text: str) -> str:
    """The licence that the first lines of a text state; "" when they state none that is known."""
    head = text[:HEAD_CHARACTERS]
    if match := SPDX.search(head):
        return match.group(1)
    lower = " ".join(re.sub(r"[#*/;\"]+", " ", head.lower()).split())
    return next((name for name, phrase in PHRASES.items() if re.search(phrase, lower)), "")
