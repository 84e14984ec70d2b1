"""The guest's source as one text that fits in an environment variable, so that no image has to hold it."""

import base64
import json
import zlib
from functools import cache
from importlib import resources

MODULES = (
    "ends", "frames", "link", "process", "paths", "files", "archive", "output", "web", "watch", "installing",
    "application", "kept", "repository", "box", "checking", "bundle", "calls", "confine", "relayed", "main",
)  # fmt: skip
"""In the order of their imports."""

MAX_BYTES = 120_000
"""The kernel takes 128 KiB in one string of an environment."""

VARIABLE = "BOARDROOM_GUEST"

LATE = ("hashlib", "shutil", "zipfile")
"""What the guest imports and does not need for its first answer."""

BOOT = (
    "import gc;gc.disable()\n"
    "import json,os,sys,types,zlib\n"
    "from binascii import a2b_base64\n"
    # asyncio does without ssl when there is none, and starts in half the time.
    "sys.modules['ssl']=None\n"
    # `importlib.util.LazyLoader` before Python 3.13 loads at the import already.
    "class Late(types.ModuleType):\n"
    " def __getattr__(self,name):\n"
    "  sys.modules.pop(self.__name__,None);self.__dict__.update(__import__(self.__name__).__dict__)\n"
    "  return self.__dict__[name]\n"
    f"for n in {LATE}:sys.modules[n]=Late(n)\n"
    "p=sys.modules['guest']=types.ModuleType('guest');p.__path__=[]\n"
    f"for n,s in json.loads(zlib.decompress(a2b_base64(os.environ.pop('{VARIABLE}')))):\n"
    " m=sys.modules['guest.'+n]=types.ModuleType('guest.'+n);m.__package__='guest'\n"
    " exec(compile(s,'guest/'+n+'.py','exec'),m.__dict__)\n"
    "gc.enable()\n"
    "sys.modules['guest.main'].main()\n"
)
"""What `python3 -c` gets: it makes the modules and starts. How long that takes is most of what a new box
costs beside the engine's own time (docs/benchmarks.md)."""


@cache
def guest_source() -> str:
    """The value of `VARIABLE`."""
    folder = resources.files("app.runtime.guest")
    sources = [(name, folder.joinpath(f"{name}.py").read_text(encoding="utf-8")) for name in MODULES]
    packed = base64.b64encode(zlib.compress(json.dumps(sources).encode(), 9)).decode()
    if len(packed) > MAX_BYTES:
        raise ValueError(f"the guest is {len(packed)} bytes, more than {MAX_BYTES}")
    return packed
