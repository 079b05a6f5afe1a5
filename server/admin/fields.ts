/** What a request asks for, looked at: a wrong field is named, with what it must be. */
import type { Call } from '../http/router.ts'
import { HttpError } from '../http/http-error.ts'

export type Check = readonly [isRight: (value: unknown) => boolean, mustBe: string]

export const TEXT: Check = [(value) => typeof value === 'string', 'a text']
export const NAME: Check = [(value) => typeof value === 'string' && value !== '', 'a text that is not empty']
export const FLAG: Check = [(value) => typeof value === 'boolean', 'true or false']
export const QOS: Check = [(value) => value === 0 || value === 1 || value === 2, '0, 1 or 2']
export const MS: Check =
  [(value) => Number.isSafeInteger(value) && value as number > 0, 'whole milliseconds, 1 or more']
export const TEXTS: Check =
  [(value) => Array.isArray(value) && value.every((one) => typeof one === 'string'), 'a list of texts']

/** The fields of the body; throws HttpError 400 with the first that is wrong or unknown. */
export function fieldsOf (body: unknown, known: Readonly<Record<string, Check>>): ReadonlyMap<string, unknown> {
  if (body === undefined) return new Map()
  if (typeof body !== 'object' || body === null || Array.isArray(body)) throw wrong('the body must be a JSON object')
  const fields = new Map(Object.entries(body))
  for (const [name, value] of fields) {
    const check = Object.hasOwn(known, name) ? known[name] : undefined
    if (check === undefined) {
      throw wrong(`there is no field ${JSON.stringify(name.slice(0, 100))}; there is ${Object.keys(known).join(', ')}`)
    }
    if (!check[0](value)) throw wrong(`${name} must be ${check[1]}`)
  }
  return fields
}

/** A whole number of the query; throws HttpError 400. */
export function numberOf (query: Call['query'], name: string, fallback: number, max: number): number {
  const text = query.get(name)
  if (text === null) return fallback
  const value = /^\d{1,15}$/.test(text) ? Number(text) : NaN
  if (!(value <= max)) throw wrong(`${name} must be a whole number from 0 to ${max}`)
  return value
}

export function wrong (says: string): HttpError {
  return new HttpError(400, 'REQUEST_INVALID', says)
}
