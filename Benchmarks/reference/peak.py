"""`python peak.py FOLDER COMMAND…`: runs a command and leaves its peak resident memory, in bytes, in a file of FOLDER.

mpirun runs one for each rank, so that all of them are known and not the largest alone. It is small on purpose: what a
process has resident before it becomes the command counts, too.
"""

import os
import subprocess
import sys
from pathlib import Path

folder, *command = sys.argv[1:]
child = subprocess.Popen(command)
_, status, usage = os.wait4(child.pid, 0)
child.returncode = code = os.waitstatus_to_exitcode(status)
Path(folder, str(child.pid)).write_text(str(usage.ru_maxrss * 1024))
sys.exit(code if code >= 0 else 128 - code)
