"""Runs a command on a terminal of its own and types a line at each prompt that ends in ': '. Prints what was shown."""
import os
import pty
import sys

lines, command = sys.argv[1].split(','), sys.argv[2:]
pid, terminal = pty.fork()
if pid == 0:
    os.execvp(command[0], command)
shown = b''
while True:
    try:
        piece = os.read(terminal, 4096)
    except OSError:  # the command has ended
        break
    if not piece:
        break
    shown += piece
    if shown.endswith(b': ') and lines:
        os.write(terminal, lines.pop(0).encode() + b'\r')
sys.stdout.write(shown.decode())
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
