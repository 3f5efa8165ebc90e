"""What a page may run and load: a content security policy in the head of every page.

It is a second line: texts of others are escaped where a page is made (twins/records/markup.py). No script
runs but the site's own files and the theme's one inline script, no handler in an attribute runs, and nothing
is asked of another machine. https://www.w3.org/TR/CSP3/
"""

import base64
import hashlib
import re
from importlib import resources

from twins.records.markup import html

INLINE = re.compile(r"<script>(.*?)</script>", re.DOTALL)
RULES = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self' 'unsafe-inline'",  # figures and tables have styles of their own
    "img-src": "'self' data:",
    "font-src": "'self'",
    "connect-src": "'self'",  # the search fetches pages of the site
    "form-action": "'self'",
    "base-uri": "'none'",
}


def digests(template: str) -> list[str]:
    """The inline scripts of a page's template as a policy names them."""
    made = [hashlib.sha256(script.encode()).digest() for script in INLINE.findall(template)]
    return [f"'sha256-{base64.b64encode(each).decode()}'" for each in made]


def policy() -> str:
    """The policy, with the scripts that furo's own template has inside."""
    template = resources.files("furo").joinpath("theme", "furo", "base.html").read_text("utf-8")
    rules = RULES | {"script-src": " ".join([RULES["script-src"], *digests(template)])}
    return "; ".join(f"{what} {where}" for what, where in rules.items())


def setup(app):
    content = html(policy())

    def add(app, page, template, context, document):
        meta = f'<meta http-equiv="Content-Security-Policy" content="{content}">'
        context["metatags"] = f"{meta}{context.get('metatags', '')}"

    app.connect("html-page-context", add, priority=900)  # after the cards, whose tags it comes before
    return {"parallel_read_safe": True, "parallel_write_safe": True}
