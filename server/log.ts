/**
 * The log of the program: pino, to standard error, so that standard output stays for what other programs read.
 * Written synchronously: the last lines before a crash are those that matter.
 */
import { type Logger as Pino, pino } from 'pino'
import pretty from 'pino-pretty'
import type { Config } from '../config/schema.ts'

const STDERR = 2

export function createLog ({ logLevel, logFormat }: Pick<Config, 'logLevel' | 'logFormat'>): Pino {
  const readable = logFormat === 'pretty' || (logFormat === 'auto' && process.stderr.isTTY === true)
  const destination = readable
    ? pretty({ destination: STDERR, sync: true, ignore: 'pid,hostname', translateTime: 'SYS:HH:MM:ss.l' })
    : pino.destination({ dest: STDERR, sync: true })
  return pino({ name: 'holdfast', level: logLevel, timestamp: pino.stdTimeFunctions.isoTime }, destination)
}
