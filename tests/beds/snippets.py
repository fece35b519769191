# SPDX-License-Identifier: Apache-2.0
"""What the documentation shows, as the tests run it: fenced blocks of docs/ whose opening line names a file, "```sh wrapper.sh"."""
import pathlib

DOCS = pathlib.Path(__file__).resolve().parents[2] / "docs"


def snippet(document, name, **replaced):
    """The block's text. `replaced` has what a reader would put in place of the document's names; each must be there."""
    lines = (DOCS / document).read_text().splitlines()
    starts = [i for i, line in enumerate(lines) if line.startswith("```") and line.split()[1:] == [name]]
    assert len(starts) == 1, f"{document} has {len(starts)} blocks called {name}"
    block = lines[starts[0] + 1:lines.index("```", starts[0])]
    text = "\n".join(block) + "\n"
    for old, new in replaced.items():
        assert old in text, f"{name} of {document} does not mention {old}"
        text = text.replace(old, str(new))
    return text
