/** A password from the terminal, where it is not shown, or from standard input; never from the command line. */
import { createInterface } from 'node:readline'
import type { ReadStream } from 'node:tty'
import { Writable } from 'node:stream'
import { PASSWORD_BYTES_MAX } from '../broker/index.ts'
import { UsageError } from './usage.ts'

export interface PasswordSource {
  readonly stdin: NodeJS.ReadStream
  readonly stderr: NodeJS.WriteStream
}

/** All of standard input, without the line break at its end. @throws UsageError */
export async function passwordFromStdin (stdin: AsyncIterable<Buffer | string>): Promise<Buffer> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of stdin) {
    chunks.push(Buffer.from(chunk))
    bytes += chunks.at(-1)!.length
    if (bytes > PASSWORD_BYTES_MAX + 2) break
  }
  return checked(Buffer.from(Buffer.concat(chunks).toString('latin1').replace(/\r?\n$/, ''), 'latin1'))
}

/** @param isNew asks twice @throws UsageError */
export async function passwordFromTerminal (source: PasswordSource, who: string, isNew: boolean): Promise<Buffer> {
  const { stdin } = source
  if (!stdin.isTTY) {
    throw new UsageError('there is no terminal to ask for the password; give it on standard input (--password-stdin)')
  }
  const password = checked(await ask(source, `Password of ${who}: `))
  if (isNew && !(await ask(source, 'The same again: ')).equals(password)) {
    throw new UsageError('the two passwords differ; nothing was changed')
  }
  return password
}

function ask ({ stdin, stderr }: PasswordSource, question: string): Promise<Buffer> {
  // the line editor writes what is typed: here, into nothing
  const nothing = new Writable({ write (_chunk, _encoding, done) { done() } })
  const lines = createInterface({ input: stdin as ReadStream, output: nothing, terminal: true, historySize: 0 })
  stderr.write(question) // the terminal shows nothing any more by now, however soon somebody types
  return new Promise((resolve, reject) => {
    lines.once('line', (line) => resolve(Buffer.from(line)))
    lines.once('close', () => reject(new UsageError('no password was given; nothing was changed')))
    lines.once('SIGINT', () => lines.close())
  }).finally(() => {
    lines.removeAllListeners('close')
    lines.close()
    stderr.write('\n')
  }) as Promise<Buffer>
}

function checked (password: Buffer): Buffer {
  if (password.length === 0) throw new UsageError('the password is empty; nothing was changed')
  if (password.length > PASSWORD_BYTES_MAX) {
    throw new UsageError(`the password is longer than ${PASSWORD_BYTES_MAX} bytes; nothing was changed`)
  }
  return password
}
