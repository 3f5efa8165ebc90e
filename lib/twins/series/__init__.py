"""The report as a product: runner, notebooks as files, what cells show, site, publishing, sharing.

It may import twins.evidence, twins.evidence.answers, twins.evidence.published, twins.evidence.verdicts,
twins.figures, twins.frameworks, twins.machine, twins.records, twins.series.pages, twins.timing and
twins.timing.ceilings.
"""

import sys

# jsonschema, below nbformat, imports this for a format of no notebook, and its parser takes seconds to make.
sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
