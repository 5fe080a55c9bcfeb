"""Check this package and time it, with torch and without evotune: see `python verify.py --help`."""

import sys
from importlib import import_module
from pathlib import Path
from runpy import run_path

project = Path(__file__).resolve().parent
package = project / "@kernel@"
# Check the files before an import of the package, which would run code that may have been edited.
complaints = list(run_path(str(package / "integrity.py"))["complaints"](package))
for complaint in complaints:
    print(f"integrity   REFUSED: {complaint}")
if complaints:
    print("NOT verified")
    sys.exit(1)
sys.path.insert(0, str(project))
sys.exit(import_module("@kernel@.verification").main())
