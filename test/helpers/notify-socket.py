"""What systemd listens to: prints each datagram as a line. Argument: the path of the socket."""
import socket
import sys

listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
listener.bind(sys.argv[1])
print('listening', flush=True)
while True:
    # descriptors that come with a message (systemd-notify sends a pipe as a barrier) are closed by not being taken
    for assignment in listener.recv(4096).decode().splitlines():
        if assignment != 'BARRIER=1':
            print(assignment, flush=True)
