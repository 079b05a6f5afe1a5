/** Ways to cut. Each is a scene of a few seconds, during which messages go both ways; chance decides the moments. */
import type { Proxy } from '../helpers/proxy.ts'
import type { Random } from '../helpers/random.ts'
import { pause } from '../helpers/wait.ts'
import type { Life } from './life.ts'

export interface Stage {
  readonly proxy: Proxy
  readonly random: Random
  /** The client as it is now. */
  readonly life: Life
  /** Both sides have noticed a dead link by then. */
  readonly noticeMs: number
  /** A new client of the same name takes its place: after this one died in a handler, or beside it. */
  succeed (how: 'dies-in-handler' | 'killed' | 'beside'): Promise<void>
}

export interface Cut {
  readonly name: string
  readonly says: string
  /** The client is a process of its own. */
  readonly isProcess?: boolean
  /** Not even a recovery offset makes a client handle a message only once: the application itself interferes. */
  readonly isInexact?: boolean
  run (stage: Stage): Promise<void>
}

const FIRST_BYTES_MAX = 900
const SOME_BYTES_MAX = 4_000

async function times (count: number, step: () => Promise<void> | void): Promise<void> {
  for (let left = count; left > 0; left--) await step()
}

function budget (direction: 'up' | 'down', kind: 'reset' | 'finish'): Cut['run'] {
  return async ({ proxy, random }) => await times(6, async () => {
    proxy.cutAfter(random.between(1, direction === 'down' ? SOME_BYTES_MAX : FIRST_BYTES_MAX), direction, kind)
    await pause(random.between(200, 600))
    proxy.pass()
    await pause(random.between(20, 200))
  })
}

function hole (direction: 'up' | 'down' | 'both'): Cut['run'] {
  return async ({ proxy, random, life, noticeMs }) => {
    await times(2, async () => {
      await pause(random.between(100, 400))
      proxy.hole(direction)
      await life.noticed(noticeMs)
      await pause(random.between(0, 300))
      proxy.pass()
    })
    await times(3, async () => {
      await pause(random.between(200, 500))
      proxy.hole(direction)
      await pause(random.between(20, 300))
      proxy.pass()
    })
  }
}

export const CUTS: readonly Cut[] = [
  { name: 'none', says: 'nothing happens to the link', run: async () => await pause(3_000) },
  {
    name: 'rst',
    says: 'RST to both sides, six times',
    run: async ({ proxy, random }) => await times(6, async () => {
      await pause(random.between(50, 600))
      proxy.cut('reset')
    })
  },
  {
    name: 'fin',
    says: 'FIN to both sides, six times',
    run: async ({ proxy, random }) => await times(6, async () => {
      await pause(random.between(50, 600))
      proxy.cut('finish')
    })
  },
  { name: 'rst-down', says: 'RST after n bytes to the client, in a frame or response', run: budget('down', 'reset') },
  { name: 'fin-down', says: 'FIN after n bytes to the client', run: budget('down', 'finish') },
  { name: 'rst-up', says: 'RST after n bytes to the server, in a frame or request', run: budget('up', 'reset') },
  { name: 'fin-up', says: 'FIN after n bytes to the server', run: budget('up', 'finish') },
  {
    name: 'no-answer',
    says: 'RST before the first byte of an answer: the request may have been handled',
    run: async ({ proxy, random }) => await times(6, async () => {
      await pause(random.between(100, 500))
      proxy.cutAfter(0, 'down', 'reset')
      await pause(random.between(20, 200))
      proxy.pass()
    })
  },
  { name: 'hole-up', says: 'what the client sends vanishes, until both sides notice and for moments', run: hole('up') },
  { name: 'hole-down', says: 'what the server sends vanishes, likewise', run: hole('down') },
  { name: 'hole-both', says: 'everything vanishes, likewise', run: hole('both') },
  {
    name: 'half-open',
    says: 'the client knows that its link is gone and comes back; the server hears nothing of it',
    run: async ({ proxy, random, life }) => await times(6, async () => {
      await pause(random.between(100, 500))
      proxy.hole('both')
      await pause(random.between(0, 150))
      life.dropConnections()
      await pause(10) // FIN and RST vanish too
      proxy.pass()
    })
  },
  {
    name: 'delay',
    says: '100 to 250 ms each way, and RST',
    run: async ({ proxy, random }) => {
      await times(4, async () => {
        proxy.delay(random.between(100, 250))
        await pause(random.between(400, 900))
        proxy.cut('reset')
      })
      proxy.pass()
    }
  },
  {
    name: 'jitter',
    says: 'a delay that changes from 0 to 80 ms all the time, and FIN',
    run: async ({ proxy, random }) => {
      await times(40, async () => {
        proxy.delay(random.int(80))
        await pause(random.between(20, 150))
        if (random.int(8) === 0) proxy.cut('finish')
      })
      proxy.pass()
    }
  },
  {
    name: 'throttle',
    says: '4,000 bytes a second, and RST with much under way',
    run: async ({ proxy, random }) => {
      await times(2, async () => {
        proxy.throttle(4_000)
        await pause(random.between(800, 1_500))
        proxy.cut('reset')
        await pause(random.between(50, 300))
      })
      proxy.pass()
    }
  },
  {
    name: 'trickle',
    says: '600 bytes a second, too slow for heartbeats',
    run: async ({ proxy, random, noticeMs }) => {
      proxy.throttle(600)
      await pause(noticeMs + random.int(1_000))
      proxy.pass()
    }
  },
  {
    name: 'stall',
    says: 'nothing passes for 0.2 to 0.9 s, then all of it',
    run: async ({ proxy, random }) => await times(4, async () => {
      await pause(random.between(100, 300))
      proxy.stall(random.pick(['up', 'down', 'both']))
      await pause(random.between(200, 900))
      proxy.pass()
    })
  },
  {
    name: 'stall-late',
    says: 'nothing passes until both sides have given up; then the bytes of the dead connections arrive',
    run: async ({ proxy, random, life, noticeMs }) => {
      for (const direction of ['up', 'down'] as const) {
        await pause(random.between(100, 300))
        proxy.stall(direction)
        await life.noticed(noticeMs)
        await pause(random.between(0, 500))
        proxy.pass()
      }
    }
  },
  {
    name: 'stall-rst',
    says: 'nothing passes for a while, then RST',
    run: async ({ proxy, random }) => await times(4, async () => {
      await pause(random.between(100, 300))
      proxy.stall(random.pick(['up', 'down', 'both']))
      await pause(random.between(100, 600))
      proxy.cut('reset')
      proxy.pass()
    })
  },
  {
    name: 'refuse',
    says: 'RST, and every new connection is refused for a while',
    run: async ({ proxy, random }) => await times(4, async () => {
      await pause(random.between(200, 500))
      proxy.refuse()
      proxy.cut('reset')
      await pause(random.between(100, 700))
      proxy.pass()
    })
  },
  {
    name: 'flapping',
    says: 'RST or FIN every 30 to 200 ms',
    run: async ({ proxy, random }) => await times(25, async () => {
      await pause(random.between(30, 200))
      proxy.cut(random.pick(['reset', 'finish']))
    })
  },
  {
    name: 'opening',
    says: 'every connection is cut after 50 to 900 bytes: during the handshake, CONNECT, the upgrade, what was missed',
    run: async ({ proxy, random }) => {
      await times(12, async () => {
        const kind = random.pick(['reset', 'finish'] as const)
        proxy.cutAfter(random.between(50, FIRST_BYTES_MAX), random.pick(['up', 'down']), kind)
        await Promise.race([proxy.accepted(), pause(400)])
        await pause(random.between(5, 150))
        proxy.pass()
        proxy.cut('reset')
      })
    }
  },
  {
    name: 'upgrading',
    says: 'RST 0 to 40 ms after a connection came: during the upgrade',
    run: async ({ proxy, random }) => await times(15, async () => {
      await Promise.race([proxy.accepted(), pause(300)])
      await pause(random.int(40))
      proxy.cut('reset')
    })
  },
  {
    name: 'takeover',
    says: 'another client of the same name comes while the first is there',
    isInexact: true, // the first may come back before it is thrown out for good, and finds another has had its session
    run: async ({ random, succeed }) => await times(4, async () => {
      await pause(random.between(200, 600))
      await succeed('beside')
    })
  },
  {
    name: 'takeover-dead',
    says: 'another client of the same name comes while the first hangs in a black hole',
    run: async stage => await times(3, async () => {
      await pause(stage.random.between(200, 600))
      stage.proxy.hole('both')
      await pause(stage.random.between(50, 400))
      stage.life.dropConnections()
      await stage.life.kill()
      await pause(10)
      stage.proxy.pass()
      await stage.succeed('killed')
    })
  },
  {
    name: 'dies',
    says: 'the client dies inside a handler, six times',
    run: async ({ random, succeed }) => await times(6, async () => {
      await pause(random.between(100, 400))
      await succeed('dies-in-handler')
    })
  },
  {
    name: 'process-killed',
    says: 'the client is a process that is killed with SIGKILL, inside a handler and at any moment',
    isProcess: true,
    run: async ({ random, succeed }) => await times(4, async () => {
      await pause(random.between(100, 500))
      await succeed(random.pick(['dies-in-handler', 'killed']))
    })
  },
  {
    name: 'leaves',
    says: 'the application calls disconnect() and connect()',
    isInexact: true,
    run: async ({ random, life }) => await times(6, async () => {
      await pause(random.between(100, 500))
      life.socket!.disconnect()
      await pause(random.between(0, 200))
      life.socket!.connect()
    })
  },
  {
    name: 'mixed',
    says: 'all of it, in any order',
    run: async stage => await times(3, async () => {
      const cut = stage.random.pick(['rst', 'rst-down', 'fin-up', 'half-open', 'stall', 'opening', 'dies'])
      await cutOf(cut).run(stage)
    })
  }
]

export function cutOf (name: string): Cut {
  const cut = CUTS.find(cut => cut.name === name)
  if (cut === undefined) throw new Error(`there is no cut ${name}: ${CUTS.map(({ name }) => name).join(', ')}`)
  return cut
}
