"""Small changes to a file that others may have changed meanwhile: each finds its own place, or gives up."""

import re

from workers.agents.tools import EditFile, WriteFile


def add_import(text: str, line: str) -> str | None:
    """`line` among the imports of the app's own modules, in order; the first goes below the docstring."""
    if re.search(rf"^{re.escape(line)}$", text, re.MULTILINE):
        return text
    lines = text.split("\n")
    own = [index for index, old in enumerate(lines) if re.match(r"(?:import|from) [a-z_]+\b", old)]
    if not own:
        docstring = re.match(r'(?:""".*?"""\n\n)?', text, re.DOTALL)
        place = docstring.end() if docstring else 0
        return f"{text[:place]}{line}\n\n{text[place:]}"
    block = own[-1]
    while block - 1 in own:
        block -= 1
    place = next(
        (index for index in range(block, own[-1] + 1) if _import_key(lines[index]) > _import_key(line)),
        own[-1] + 1,
    )
    return "\n".join([*lines[:place], line, *lines[place:]])


def add_to_list(text: str, name: str, entry: str) -> str | None:
    """`entry` as the last line of the list `name = [ … ]` that ends with a bracket on a line of its own."""
    found = re.search(rf"^{name} = \[\n(?P<lines>(?:.*\n)*?)\]$", text, re.MULTILINE)
    if found is None:
        return None
    if entry in [line.strip() for line in found["lines"].split("\n")]:
        return text
    return f"{text[: found.end('lines')]}    {entry}\n{text[found.end('lines') :]}"


def add_after(text: str, anchor: str, line: str) -> str | None:
    """`line` below the first line that is `anchor`, indented like it."""
    if line in [old.strip() for old in text.split("\n")]:
        return text
    found = re.search(rf"^(?P<indent> *){re.escape(anchor)}$", text, re.MULTILINE)
    return f"{text[: found.end()]}\n{found['indent']}{line}{text[found.end() :]}" if found else None


def as_tool(path: str, before: str, after: str) -> EditFile | WriteFile | None:
    """The call that turns `before` into `after`: an edit where a short one will do; None if equal."""
    if before == after:
        return None
    old, new = before.split("\n"), after.split("\n")
    first, last = _changed(old, new)
    while True:
        left = "\n".join(old[first : len(old) - last])
        right = "\n".join(new[first : len(new) - last])
        if left and before.count(left) == 1:
            break
        if first == 0 and last == 0:
            return WriteFile(path=path, content=after)
        first, last = max(0, first - 1), max(0, last - 1)
    if len(left) * 2 > len(before):
        return WriteFile(path=path, content=after)
    return EditFile(path=path, old=left, new=right)


def _changed(old: list[str], new: list[str]) -> tuple[int, int]:
    """How many lines are equal at the beginning and at the end."""
    shortest = min(len(old), len(new))
    first = next((index for index in range(shortest) if old[index] != new[index]), shortest)
    last = next(
        (index for index in range(shortest - first) if old[-1 - index] != new[-1 - index]), shortest - first
    )
    return first, last


def _import_key(line: str) -> tuple[bool, str]:
    """`import x` before `from x import y`, then by name."""
    return line.startswith("from "), line.split()[1]
