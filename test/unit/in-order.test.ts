/** What one client asks for takes effect in its order. */
import t from 'tap'
import { InOrder } from '../../broker/system/in-order.ts'
import type { ClientId } from '../../broker/model/message.ts'

const [A, B] = ['a', 'b'] as ClientId[]
const turn = async (): Promise<void> => await new Promise((resolve) => { setImmediate(resolve) })

t.test('[G3] what is answered at once waits for what was asked before it, and for nobody else', async t => {
  const order = new InOrder()
  const done: string[] = []
  let answer = (_isAllowed: boolean): void => {}
  const run = (who: ClientId, what: string, allowed: boolean | Promise<boolean>): void => {
    order.run(who, allowed, () => { done.push(what) }, () => { done.push(`${what} refused`) })
  }
  run(A, 'first', true)
  t.same(done, ['first'], 'at once, where nothing waits')
  run(A, 'slow', new Promise((resolve) => { answer = resolve }))
  run(A, 'behind it', true)
  run(A, 'no', false)
  run(B, 'of another', true)
  await turn()
  t.same(done, ['first', 'of another'])
  answer(true)
  await turn()
  t.same(done, ['first', 'of another', 'slow', 'behind it', 'no refused'])
  run(A, 'fails', Promise.reject(new Error('a data base')))
  run(A, 'after it', true)
  await turn()
  run(A, 'last', true)
  t.same(done.slice(5), ['fails refused', 'after it', 'last'], 'and nothing is held up for good')
})
