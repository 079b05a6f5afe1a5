/** mosquitto 2 with persistence: queues in memory, a snapshot of them every 30 minutes and at the end. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { userInfo } from 'node:os'
import { join } from 'node:path'
import { freePort, has, startServer } from '../processes.mjs'

export const mosquitto = {
  name: 'mosquitto',
  title: 'mosquitto 2',
  receipt: 'the message is in memory; a snapshot is written every 30 minutes',
  protocols: ['mqtt'],
  scale: 1,
  debian: 'mosquitto',
  missing: () => has('mosquitto') ? undefined : 'mosquitto is not installed',
  async start ({ folder }) {
    const port = await freePort()
    const store = join(folder, 'store')
    mkdirSync(store, { recursive: true })
    const config = join(folder, 'mosquitto.conf')
    writeFileSync(config, [
      `listener ${port} 127.0.0.1`,
      `user ${userInfo().username}`, // else, started by root, it becomes a user who can't write the folder
      'allow_anonymous true',
      'persistence true',
      `persistence_location ${store}/`,
      'max_queued_messages 0', // no bound: with the default of 1,000 it would lose messages
      'log_type error',
      'log_type information', // says when it is ready
      ''
    ].join('\n'))
    const server = await startServer('mosquitto', ['-c', config],
      { ready: /mosquitto version \S+ running/, from: 'stderr' })
    return { ...server, port }
  }
}
