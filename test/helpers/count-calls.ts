/** How often methods of a class are called while something runs: work is counted, not timed. */
export function countCalls<T extends object> (prototype: T, names: ReadonlyArray<keyof T & string>,
  run: () => void): number {
  let calls = 0
  const before = names.map((name) => Object.getOwnPropertyDescriptor(prototype, name)!)
  names.forEach((name, i) => {
    const original: unknown = before[i].value
    if (typeof original !== 'function') throw new TypeError(`${name} is no method`)
    function counted (this: unknown, ...args: unknown[]): unknown {
      calls++
      return Reflect.apply(original as (...args: unknown[]) => unknown, this, args)
    }
    Object.defineProperty(prototype, name, { ...before[i], value: counted })
  })
  try {
    run()
  } finally {
    names.forEach((name, i) => { Object.defineProperty(prototype, name, before[i]) })
  }
  return calls
}
