"""Pages are made by one kind of template: everything escaped, an unknown name an error."""

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape


def html_template(package: str, name: str, **filters: Any) -> Any:
    """The template ``templates/<name>`` of a package, with filters."""
    environment = Environment(
        loader=PackageLoader(package),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(filters)
    return environment.get_template(name)
