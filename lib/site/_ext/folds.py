"""Folds: on the page of a notebook, what a heading of the third level opens is inside a closed <details>.

The fold has the heading's address, and the search index sees its words as those of any section. Transforms:
https://www.sphinx-doc.org/en/master/extdev/appapi.html#sphinx.application.Sphinx.add_post_transform
"""

from docutils import nodes
from sphinx.transforms.post_transforms import SphinxPostTransform

LEVEL = 3  # of the headings that open a fold


class fold(nodes.section):
    """A section that is folded."""


class fold_title(nodes.title):
    """What the fold shows when it is closed."""


def level(section: nodes.section) -> int:
    """The level of a section's heading: 1 for the title of the page."""
    above, count = section.parent, 1
    while above is not None:
        count += isinstance(above, nodes.section)
        above = above.parent
    return count


class Fold(SphinxPostTransform):
    """Turns the sections of the third level into folds."""

    default_priority = 700  # after links are resolved
    formats = ("html",)

    def run(self, **kwargs) -> None:
        if self.env.doc2path(self.env.docname).suffix != ".ipynb":
            return
        for section in [each for each in self.document.findall(nodes.section) if level(each) == LEVEL]:
            title, *rest = section.children
            heading = fold_title("", *title.children, **title.attributes)
            section.replace_self(fold("", heading, *rest, **section.attributes))


def visit_fold(translator, node):
    translator.section_level += 1
    translator.body.append(translator.starttag(node, "details", CLASS="fold"))


def depart_fold(translator, node):
    translator.section_level -= 1
    translator.body.append("</details>\n")


def visit_title(translator, node):
    translator.body.append("<summary><h3>")


def depart_title(translator, node):
    translator.add_permalink_ref(node.parent, "Link to this fold")
    translator.body.append("</h3></summary>\n")


def setup(app):
    app.add_node(fold, html=(visit_fold, depart_fold))
    app.add_node(fold_title, html=(visit_title, depart_title))
    app.add_post_transform(Fold)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
