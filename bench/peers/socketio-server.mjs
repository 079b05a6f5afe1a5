/**
 * Plain Socket.IO as a server: `socketio-server.mjs [recovery]`. Prints its own port, which the system picks. It
 * understands the events that the load emits, as an application would write them.
 */
import { createServer } from 'node:http'
import { Server } from 'socket.io'

const http = createServer()
const io = new Server(http, process.argv[2] === 'recovery' ? { connectionStateRecovery: {} } : {})
io.on('connection', (socket) => {
  socket.on('join', (room, ack) => {
    socket.join(room)
    ack({ status: 'ok' })
  })
  socket.on('send', ({ room }, event, ...args) => {
    const ack = args.pop()
    io.to(room).emit(event, ...args)
    ack({ status: 'ok' })
  })
})
http.listen(0, '127.0.0.1', () => console.log(`socketio ready ${http.address().port}`))
process.on('SIGTERM', () => process.exit(0))
