/** Numbers as people read them. */
import type { Unit } from './option.ts'

const SIZES = [
  ['TiB', 1_099_511_627_776], ['GiB', 1_073_741_824], ['MiB', 1_048_576], ['KiB', 1_024]
] as const
const SPANS = [
  ['day', 86_400_000], ['hour', 3_600_000], ['minute', 60_000], ['second', 1_000]
] as const

/** 1883 as `1,883`. */
export function count (value: number): string {
  return value.toLocaleString('en-US')
}

/** 65536 as `64 KiB`; what is not round is rounded to one decimal place. */
export function bytes (value: number): string {
  const size = SIZES.find(([, one]) => value >= one)
  if (size === undefined) return `${count(value)} ${value === 1 ? 'byte' : 'bytes'}`
  return `${short(value / size[1])} ${size[0]}`
}

/** 90000 as `1.5 minutes`; what is not round is rounded to one decimal place. */
export function duration (value: number): string {
  const span = SPANS.find(([name, one]) => value >= one && (value % one === 0 || value >= 2 * one || name === 'second'))
  if (span === undefined) return `${count(value)} ms`
  const amount = short(value / span[1])
  return `${amount} ${span[0]}${amount === '1' ? '' : 's'}`
}

/** A value of an option in the units people use; texts as they are, lists with commas, of an object its keys. */
export function human (unit: Unit, value: string | number | boolean | object): string {
  if (Array.isArray(value)) {
    if (typeof value[0] === 'object') return `${count(value.length)} ${value.length === 1 ? 'rule' : 'rules'}`
    return value.length === 0 ? 'none' : value.join(', ')
  }
  if (typeof value === 'object') return Object.keys(value).join(', ') || 'none'
  if (typeof value !== 'number') return String(value)
  if (unit === 'bytes') return bytes(value)
  if (unit === 'ms') return duration(value)
  if (unit === 'percent') return `${value} %`
  // ports are names, not amounts
  return unit === 'count' ? count(value) : String(value)
}

function short (value: number): string {
  return count(Math.round(value * 10) / 10)
}
