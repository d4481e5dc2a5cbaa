"""Lists the source files that this process has imported, for a parent that watches them."""

import sys
import threading
import time
from pathlib import Path

#: Seconds between two looks for new modules. A handler may import a module when it runs.
_INTERVAL_S = 0.5


def imported_files(folder: Path) -> list[str]:
    """Returns the paths of the imported modules' files under the folder, sorted."""
    modules = [*sys.modules.values()]
    files = (getattr(module, "__file__", None) for module in modules)
    paths = {str(Path(file).resolve()) for file in files if isinstance(file, str)}
    return sorted(path for path in paths if Path(path).is_relative_to(folder))


def start_listing(file: Path, folder: Path) -> None:
    """Writes the paths of the imported files under the folder into the file, one on each line.

    A thread writes them again after each import. The thread ends with the process.
    """

    def watch() -> None:
        count = 0
        while True:
            if len(sys.modules) != count:
                count = len(sys.modules)
                # The file is replaced in one step, so that a reader never finds half a list.
                part = file.with_suffix(".part")
                part.write_text("\n".join(imported_files(folder)), encoding="utf-8")
                part.replace(file)
            time.sleep(_INTERVAL_S)

    threading.Thread(target=watch, name="list imports", daemon=True).start()
