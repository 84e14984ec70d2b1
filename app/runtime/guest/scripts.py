"""Several commands of git as one script, because starting a command costs more than git's work."""

LIST = 'git cat-file commit "$0" > "$1.commit" && git ls-tree -r -z --full-tree "$0" > "$1.listed"'
SHOW = (
    f'{LIST} && git ls-tree -r --full-tree "$0" | cut -f 1 | cut -d " " -f 3 | '
    'git cat-file --batch > "$1.shown"'
)
"""A script that writes the commit object, the list of its files, and their contents in that order into three
files beside the folder."""

PACK = 'printf "%s\\n" "$@" | git pack-objects --revs --quiet "$0"'
"""A script that packs what its arguments reach; git reads them from its input, which commands do not have."""

RECORD = (
    'git add --all --ignore-errors . "$@" && tree=$(git write-tree) && '
    '{ test -z "$0" || git update-ref "$0" "$tree"; } && echo "$tree"'
)
"""A script that records all files but those that its arguments leave out, under a ref if there is one."""

COMMIT = 'ref="$0" && sha=$(git commit-tree "$@") && git update-ref "$ref" "$sha" && echo "$sha"'
"""A script that makes a commit by its arguments, and sets a ref to it."""
