/** What happens to clients in a browser besides what happens to links: scenes for the cells of the proof. */
import { pause } from '../helpers/wait.ts'
import { CUTS, type Cut, type Stage } from '../proof/cuts.ts'
import type { End, PageLife } from './page-life.ts'

const BLOCK_MS_MIN = 200
const BLOCK_MS_MAX = 900

/** The page is gone, and a new one of the same name comes. */
function ended (end: End): Cut['run'] {
  return async stage => {
    for (let times = 4; times > 0; times--) {
      await pause(stage.random.between(200, 600))
      pageOf(stage).end = end
      await stage.succeed('killed')
    }
  }
}

const OWN: readonly Cut[] = [
  { name: 'reload', says: 'the tab is reloaded, four times', run: ended('reload') },
  { name: 'tab-closed', says: 'the tab is closed, and another one opened, four times', run: ended('close') },
  { name: 'tab-killed', says: 'its process is killed, and another tab opened, four times', run: ended('crash') },
  {
    name: 'blocked',
    says: 'a handler keeps the page busy for 0.2 to 0.9 s, and the link is cut meanwhile, four times',
    async run (stage) {
      for (let times = 4; times > 0; times--) {
        await pause(stage.random.between(100, 400))
        const blockMs = stage.random.between(BLOCK_MS_MIN, BLOCK_MS_MAX)
        pageOf(stage).block(blockMs)
        await pause(stage.random.int(blockMs))
        if (stage.random.int(2) === 0) stage.proxy.cut(stage.random.pick(['reset', 'finish']))
      }
    }
  }
]

/** A page is no process of its own that a test could kill, and what it calls itself is up to its scripts. */
const NOT_HERE = ['process-killed', 'leaves']

export const BROWSER_CUTS: readonly Cut[] = [...CUTS.filter(({ name }) => !NOT_HERE.includes(name)), ...OWN]

function pageOf ({ life }: Stage): PageLife {
  return life as PageLife
}
