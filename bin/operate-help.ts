/** Help for the commands that are for a server that runs. They ask it over the socket in its data folder (--data). */

export const OPERATE_COMMANDS = ['aside', 'backup', 'compact', 'publish', 'reload', 'stats'] as const
export type OperateCommand = typeof OPERATE_COMMANDS[number]

export const OPERATE_LIST = `  aside          lists, publishes again and drops what was set aside for a session
  backup         makes a whole copy of a data folder, also beside a running server
  compact        makes the data file of a stopped server smaller
  publish        publishes a message through a running server
  reload         has a running server take users and rights anew
  stats          what a running server counts
`

export const OPERATE_HELP: { readonly [Name in OperateCommand]: string } = {
  aside: `Usage: holdfast aside list --client ID [--payload] [--data FOLDER]
       holdfast aside publish --client ID --id ID [--data FOLDER]
       holdfast aside drop --client ID (--id ID | --all) [--data FOLDER]

What was set aside for a session of a running server: messages that broke its connection again and again. publish
publishes one under its topic once more, for all that subscribe, and drops it then.
`,
  backup: `Usage: holdfast backup FOLDER [--data FOLDER]

Makes a copy of a data folder in FOLDER, which must be empty or not there, while the server goes on, or of a stopped
one. All that had a receipt before is in it. The copy is looked at as closely as at a start before it gets its name;
the exit code is 0 only where it is whole and on disk. How far it is goes to standard error. To restore, start a server
on it, or on a copy of it.
`,
  compact: `Usage: holdfast compact [--data FOLDER]

Writes the data file of a stopped server anew, without what is free in it. It needs as much room on the disk as the
file will have. A running server uses what is free by itself, and is refused.
`,
  publish: `Usage: holdfast publish --topic TOPIC (--payload TEXT | --file FILE) [--qos 0|1|2] [--retain] [--id ID]

Publishes a message through the server that runs on the data folder (--data), and says for how many sessions it is kept.
`,
  reload: `Usage: holdfast reload [--data FOLDER]

Has a running server take its files of users and rights anew, as SIGHUP does. What is wrong in them is said, and the
server goes on with what it had.
`,
  stats: `Usage: holdfast stats [--json] [--data FOLDER]

What a running server counts: docs/api.md says what each figure is.
`
}
