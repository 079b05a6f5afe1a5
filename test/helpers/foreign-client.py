"""A client of Socket.IO in Python, as its documentation says: python-socketio, from Debian.

    python3 foreign-client.py URL CLIENT_ID TRANSPORT[,TRANSPORT]

Prints a JSON array a line: ["connect", transport], ["x", n], ["answer", n, answer].
Reads a number a line, and emits it.
"""
import json
import sys
import threading

import socketio

url, client_id, transports = sys.argv[1:]
client = socketio.Client(reconnection_delay=0.05, reconnection_delay_max=0.1, randomization_factor=0)
printing = threading.Lock()


def tell(*values):
    with printing:
        print(json.dumps(values), flush=True)


@client.event
def connect():
    tell('connect', client.transport())


@client.on('x')
def on_x(n, *rest):
    tell('x', n)


client.connect(url, auth={'clientId': client_id}, transports=transports.split(','))
for line in sys.stdin:
    n = int(line)
    client.emit('send', ({'user': 'node'}, 'y', n), callback=lambda *answer, n=n: tell('answer', n, *answer))
client.disconnect()
