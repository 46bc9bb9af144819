"""The current folder is where files of others lie; nothing in it is run as code."""

import subprocess
import sys
from pathlib import Path

_PROGRAM = """
if __name__ == "__main__":
    from layers.sandbox import Sandbox
    with Sandbox(workers=1) as sandbox:
        print(sandbox.run(abs, -7, deadline_s=30))
"""


def test_modules_in_the_current_folder_are_not_run(tmp_path: Path) -> None:
    here = tmp_path / "here"
    here.mkdir()
    (here / "shapely.py").write_text("open('run', 'w')")
    program = tmp_path / "program.py"
    program.write_text(_PROGRAM)

    done = subprocess.run(
        [sys.executable, str(program)], cwd=here, capture_output=True, text=True, check=False
    )

    assert done.stdout == "7\n", done.stderr
    assert not (here / "run").exists()
